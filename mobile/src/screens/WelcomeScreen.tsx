/** The first-run screen: purpose, limits and performance. */

import { operatingPoint } from "@nanoray/web/detecting/modelcard";
import { useTranslation } from "react-i18next";

import { Body, Button, Section } from "@/components/controls";
import { Screen } from "@/components/Screen";
import { useEngine } from "@/detecting/EngineContext";
import { setSetting } from "@/history/settings";
import { useFormat } from "@/i18n/format";

export function WelcomeScreen({ onEnd }: { onEnd: () => void }) {
  const { t } = useTranslation();
  const { engine } = useEngine();
  return (
    <Screen
      title={t("app.title")}
      first
      foot={
        <Button
          label={t("welcome.begin")}
          kind="main"
          style={{ minWidth: 240 }}
          onPress={() => {
            setSetting("welcomed", "1");
            onEnd();
          }}
        />
      }
    >
      <Section title={t("welcome.isTitle")}>
        <Body>{t("welcome.is")}</Body>
        <Body quiet>{t("app.tagline")}</Body>
      </Section>
      <Section title={t("welcome.isNotTitle")}>
        <Body>{t("welcome.isNot")}</Body>
      </Section>
      <Section title={t("welcome.goodTitle")}>{engine ? <Figures /> : <Body quiet>{t("app.loading")}</Body>}</Section>
    </Screen>
  );
}

/** The figures of the model card, in words, with their intervals. */
export function Figures() {
  const { t } = useTranslation();
  const format = useFormat();
  const { engine } = useEngine();
  if (!engine) return null;
  const { card } = engine;
  const point = operatingPoint(card, null);
  const spread = ([low, high]: readonly [number, number]) =>
    t("welcome.interval", { low: format.percent(low), high: format.percent(high) });
  return (
    <>
      <Body>
        {t("welcome.sensitivity", { value: format.percent(point.sensitivity), interval: spread(point.sensitivityInterval) })}
      </Body>
      <Body>
        {t("welcome.specificity", { value: format.percent(point.specificity), interval: spread(point.specificityInterval) })}
      </Body>
      {Object.entries(card.metrics).map(([name, [value, low, high]]) => (
        <Body key={name} quiet>
          {t("welcome.metric", { name, value: format.decimal(value, 3), low: format.decimal(low, 3), high: format.decimal(high, 3) })}
        </Body>
      ))}
      <Body quiet>{t("welcome.photographs")}</Body>
    </>
  );
}

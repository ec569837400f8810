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

/** Figures of the model card that are shown, from the most general; their names are `welcome.ranks.*`. */
const RANKS = ["AUROC challenge", "AUROC within AP", "AUROC within PA"];

/** The figures of the model card, in words, with their intervals. */
export function Figures() {
  const { t } = useTranslation();
  const format = useFormat();
  const { engine } = useEngine();
  if (!engine) return null;
  const { card } = engine;
  const views = card.views.length ? card.views : [{ view: null, operatingPoints: card.operatingPoints }];
  const spread = ([low, high]: readonly [number, number]) =>
    t("welcome.interval", { low: format.percent(low), high: format.percent(high) });
  return (
    <>
      {views.map(({ view, operatingPoints }) => {
        const point = operatingPoint(card, null, operatingPoints);
        const sensitivity = { value: format.percent(point.sensitivity), interval: spread(point.sensitivityInterval) };
        const specificity = { value: format.percent(point.specificity), interval: spread(point.specificityInterval) };
        return (
          <Body key={view}>
            {view ? `${t("welcome.view", { view })} ` : ""}
            {t("welcome.sensitivity", sensitivity)} {t("welcome.specificity", specificity)}
          </Body>
        );
      })}
      {RANKS.map((name) => {
        const figure = card.metrics[`cross-validated ${name}`];
        if (!figure) return null;
        const [value, low, high] = figure.map(format.percent);
        return (
          <Body key={name} quiet>
            {t(`welcome.ranks.${name}`, { value, low, high })}
          </Body>
        );
      })}
      <Body quiet>{t("welcome.photographs")}</Body>
    </>
  );
}

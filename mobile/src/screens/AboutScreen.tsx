/** The model card, the language, and what the app does with data. */

import { useTranslation } from "react-i18next";

import { Body, Choice, Section } from "@/components/controls";
import { Screen } from "@/components/Screen";
import { useDetector } from "@/detecting/DetectorContext";
import { setSetting } from "@/history/settings";
import { useFormat } from "@/i18n/format";
import { type Language, LANGUAGES } from "@/i18n";
import { useOfflineReady } from "@/offline/offline";

export function AboutScreen() {
  const { t, i18n } = useTranslation();
  const format = useFormat();
  const { detector } = useDetector();
  const offline = useOfflineReady();
  const card = detector?.card;
  return (
    <Screen>
      <Section title={t("about.language")}>
        <Choice<Language>
          label={t("about.language")}
          options={LANGUAGES.map(({ code, name }) => ({ value: code, label: name }))}
          value={i18n.language as Language}
          onChange={(language) => {
            setSetting("language", language);
            void i18n.changeLanguage(language);
          }}
        />
      </Section>
      <Section>
        <Body>{t("about.privacy")}</Body>
        <Body quiet>{t(offline ? "about.offline" : "about.notOffline")}</Body>
      </Section>
      {card ? (
        <>
          <Section title={t("about.model")}>
            <Body>
              {card.name} {card.version}, {card.architecture}, {card.precision}, {card.inputSize} × {card.inputSize}
            </Body>
            <Body quiet>
              {t("about.target")}: {card.target}
            </Body>
            <Body quiet>
              {t("about.data")}: {card.trainingData}
            </Body>
            <Body quiet>
              {t("about.licence")}: {card.licence}
            </Body>
          </Section>
          <Section title={t("about.points")}>
            {card.operatingPoints.map((point) => (
              <Body key={point.name}>
                {t(`points.${point.name}`, { defaultValue: point.name })}:{" "}
                {t("pick.pointDetail", {
                  threshold: format.decimal(point.threshold, 3),
                  sensitivity: format.percent(point.sensitivity),
                  specificity: format.percent(point.specificity),
                })}
              </Body>
            ))}
          </Section>
          {Object.keys(card.metrics).length ? (
            <Section title={t("about.performance")}>
              {Object.entries(card.metrics).map(([name, [value, low, high]]) => (
                <Body key={name}>
                  {name} {format.decimal(value, 3)} ({format.decimal(low, 3)}–{format.decimal(high, 3)})
                </Body>
              ))}
            </Section>
          ) : null}
        </>
      ) : null}
    </Screen>
  );
}

/** The model card, the language, and what the app does with data. */

import { useTranslation } from "react-i18next";

import { Body, Choice, Section } from "@/components/controls";
import { Screen } from "@/components/Screen";
import { useEngine } from "@/detecting/EngineContext";
import { setSetting } from "@/history/settings";
import { useFormat } from "@/i18n/format";
import { type Language, LANGUAGES } from "@/i18n";
import { useOfflineReady } from "@/offline/offline";

import { Figures } from "./WelcomeScreen";

export function AboutScreen() {
  const { t, i18n } = useTranslation();
  const format = useFormat();
  const { engine } = useEngine();
  const offline = useOfflineReady();
  const card = engine?.card;
  return (
    <Screen title={t("nav.about")}>
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
      <Section title={t("welcome.isTitle")}>
        <Body>{t("welcome.is")}</Body>
        <Body>{t("welcome.isNot")}</Body>
      </Section>
      <Section title={t("about.data")}>
        <Body>{t("about.privacy")}</Body>
        <Body quiet>{t(offline ? "about.offline" : "about.notOffline")}</Body>
      </Section>
      {card ? (
        <>
          <Section title={t("welcome.goodTitle")}>
            <Figures />
          </Section>
          <Section title={t("about.points")}>
            {card.operatingPoints.map((point) => (
              <Body key={point.name}>
                {t(`points.${point.name}`, { defaultValue: point.name })}:{" "}
                {t("pick.pointDetail", {
                  threshold: format.percent(point.threshold),
                  sensitivity: format.percent(point.sensitivity),
                  specificity: format.percent(point.specificity),
                })}
              </Body>
            ))}
          </Section>
          <Section title={t("about.model")}>
            <Body>
              {card.name} {card.version}, {card.architecture}, {card.precision}, {card.inputSize} × {card.inputSize}
            </Body>
            <Body quiet>
              {t("about.target")}: {card.target}
            </Body>
            <Body quiet>
              {t("about.training")}: {card.trainingData}
            </Body>
            <Body quiet>
              {t("about.licence")}: {card.licence}
            </Body>
          </Section>
        </>
      ) : null}
    </Screen>
  );
}

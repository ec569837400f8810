/** Texts of the app in English and Arabic, with their direction. */

import { getLocales } from "expo-localization";
import i18next from "i18next";
import { initReactI18next } from "react-i18next";

import ar from "./ar.json";
import en from "./en.json";
import refusals from "@nanoray/web/reading/refusals.json";

export const LANGUAGES = [
  { code: "en", name: "English", direction: "ltr" },
  { code: "ar", name: "العربية", direction: "rtl" },
] as const;

export type Language = (typeof LANGUAGES)[number]["code"];

/** The app's language nearest to the device's. */
export function deviceLanguage(): Language {
  for (const { languageCode } of getLocales()) {
    const found = LANGUAGES.find(({ code }) => code === languageCode);
    if (found) return found.code;
  }
  return "en";
}

export function direction(language: string): "ltr" | "rtl" {
  return LANGUAGES.find(({ code }) => code === language)?.direction ?? "ltr";
}

void i18next.use(initReactI18next).init({
  resources: { en: { translation: { ...en, refusals } }, ar: { translation: ar } },
  lng: deviceLanguage(),
  fallbackLng: "en",
  interpolation: { escapeValue: false },
  initAsync: false,
});

export { i18next };

/** Numbers and dates in the words' language. */

import { useTranslation } from "react-i18next";

export interface Format {
  percent(value: number): string;
  decimal(value: number, digits: number): string;
  date(iso: string): string;
}

export function useFormat(): Format {
  const { i18n } = useTranslation();
  return formatFor(i18n.language);
}

export function formatFor(language: string): Format {
  return {
    percent: (value) =>
      Number.isFinite(value)
        ? new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 }).format(value)
        : "–",
    decimal: (value, digits) =>
      new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value),
    date: (iso) =>
      new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso)),
  };
}

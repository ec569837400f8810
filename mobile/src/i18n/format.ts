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
    percent: (value) => {
      if (!Number.isFinite(value)) return "–";
      // Whole percents are as exact as the numbers are; near the ends, one decimal tells 0.3 from 0.
      const digits = value < 0.01 || value > 0.99 ? 1 : 0;
      return new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: digits }).format(value);
    },
    decimal: (value, digits) =>
      new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value),
    date: (iso) =>
      new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso)),
  };
}

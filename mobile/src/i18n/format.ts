/** Numbers and dates in the app's language. */

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

const formats = new Map<string, Format>();

/** The formats of a language; made once, since making one takes longer than drawing a row with it. */
export function formatFor(language: string): Format {
  const made = formats.get(language) ?? newFormat(language);
  formats.set(language, made);
  return made;
}

function newFormat(language: string): Format {
  const percents = [0, 1].map((digits) => new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: digits }));
  const dates = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  return {
    percent: (value) => {
      if (!Number.isFinite(value)) return "–";
      // Whole percents are as exact as the numbers are; near the ends, one decimal tells 0.3 from 0.
      return percents[value < 0.01 || value > 0.99 ? 1 : 0]!.format(value);
    },
    decimal: (value, digits) =>
      new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value),
    date: (iso) => dates.format(new Date(iso)),
  };
}

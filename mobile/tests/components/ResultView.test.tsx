/** A result as text, and for screen readers. */

import { render, screen, fireEvent } from "@testing-library/react-native";

import { ResultView } from "@/components/ResultView";
import { newRecord } from "@/history/record";
import { i18next } from "@/i18n";

import { prediction } from "../support/prediction";

afterEach(() => i18next.changeLanguage("en"));

const thresholds = [0.2, 0.458, 0.7];

test("the verdict comes first: words, whole percents, the bar, the flags; numbers on demand", () => {
  render(<ResultView record={newRecord("chest.dcm", prediction())} thresholds={thresholds} />);
  expect(screen.getByText("Opacity suspected")).toBeTruthy();
  expect(screen.getByText("73%")).toBeTruthy();
  expect(screen.getByLabelText("Opacity suspected. Probability: 73%")).toBeTruthy();
  expect(screen.getByLabelText("Probability 73%; threshold 46%; uncertain from 20% to 70%")).toBeTruthy();
  expect(screen.getByText("tiny image")).toBeTruthy();
  expect(screen.queryByText(/Logit/)).toBeNull();
  fireEvent.press(screen.getByRole("button", { name: "Details" }));
  expect(screen.getByText(/Logit 1.015/)).toBeTruthy();
  expect(screen.getByText(/Operating point Balanced, threshold 0.458/)).toBeTruthy();
});

test("the suspect area is shown on demand, with a legend", () => {
  render(<ResultView record={newRecord("chest.dcm", prediction())} thresholds={thresholds} />);
  expect(screen.queryByText(/the local evidence exceeds/)).toBeNull();
  fireEvent.press(screen.getByRole("button", { name: "Show the suspect area" }));
  expect(screen.getByText("Outlined: the local evidence exceeds the threshold.")).toBeTruthy();
});

test("where nothing exceeds the threshold, no area is offered", () => {
  const heatmap = { data: new Float32Array(4), rows: 2, columns: 2 };
  render(<ResultView record={newRecord("chest.dcm", prediction({ heatmap }))} thresholds={thresholds} />);
  expect(screen.queryByRole("button", { name: "Show the suspect area" })).toBeNull();
  expect(screen.getByText(/^No area exceeds/)).toBeTruthy();
});

test("an abstention shows no probability and no area", () => {
  render(<ResultView record={newRecord("cat.png", prediction({ decision: "abstained" }))} thresholds={thresholds} />);
  expect(screen.getByText("No decision")).toBeTruthy();
  expect(screen.queryByText("73%")).toBeNull();
  expect(screen.getByText(/differs from the frontal chest radiographs/)).toBeTruthy();
  expect(screen.queryByRole("button", { name: "Show the suspect area" })).toBeNull();
});

test("in Arabic", async () => {
  await i18next.changeLanguage("ar");
  render(<ResultView record={newRecord("chest.dcm", prediction())} thresholds={thresholds} />);
  expect(screen.getByText("اشتباه بعتامة")).toBeTruthy();
});

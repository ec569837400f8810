/** What a result says, to eyes and to screen readers. */

import { render, screen, fireEvent } from "@testing-library/react-native";

import { ResultView } from "@/components/ResultView";
import { newRecord } from "@/history/record";
import { i18next } from "@/i18n";

import { prediction } from "../support/prediction";

afterEach(() => i18next.changeLanguage("en"));

test("probability, decision, operating point and flags", () => {
  render(<ResultView record={newRecord("chest.dcm", prediction())} />);
  expect(screen.getByText("Opacity suspected")).toBeTruthy();
  expect(screen.getByText("73.4%")).toBeTruthy();
  expect(screen.getByLabelText("Opacity suspected. Probability: 73.4%")).toBeTruthy();
  expect(screen.getByText(/Operating point Balanced, threshold 0.458/)).toBeTruthy();
  expect(screen.getByText("tiny image")).toBeTruthy();
});

test("an abstention shows no probability", () => {
  render(<ResultView record={newRecord("cat.png", prediction({ decision: "abstained" }))} />);
  expect(screen.getByText("Abstained")).toBeTruthy();
  expect(screen.queryByText("73.4%")).toBeNull();
  expect(screen.getByText(/unlike the frontal chest radiographs/)).toBeTruthy();
});

test("the heat map's opacity is an adjustable of screen readers", () => {
  render(<ResultView record={newRecord("chest.dcm", prediction())} />);
  const opacity = screen.getByLabelText("Heat map opacity");
  expect(opacity.props.accessibilityValue).toMatchObject({ min: 0, max: 100, now: 60 });
  fireEvent(opacity, "accessibilityAction", { nativeEvent: { actionName: "increment" } });
  expect(screen.getByLabelText("Heat map opacity").props.accessibilityValue).toMatchObject({ now: 70 });
  fireEvent.press(screen.getByLabelText("Less: Heat map opacity"));
  fireEvent.press(screen.getByLabelText("Less: Heat map opacity"));
  expect(screen.getByLabelText("Heat map opacity").props.accessibilityValue).toMatchObject({ now: 50 });
});

test("in Arabic", async () => {
  await i18next.changeLanguage("ar");
  render(<ResultView record={newRecord("chest.dcm", prediction())} />);
  expect(screen.getByText("اشتباه بعتامة")).toBeTruthy();
});

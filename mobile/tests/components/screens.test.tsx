/** The screens, on their routes: picking, judging, history, straightening, language. */

import { Slot } from "expo-router";
import { act, fireEvent, renderRouter, screen, waitFor } from "expo-router/testing-library";

import { DetectorProvider } from "@/detecting/DetectorContext";
import type { Detector } from "@/detecting/detector";
import { operatingPoint, readCard } from "@/detecting/modelcard";
import { newRecord } from "@/history/record";
import { history } from "@/history/store";
import { i18next } from "@/i18n";
import { pickFiles, takePhotograph } from "@/picking/pick";
import type { Radiograph } from "@/reading/radiograph";
import { AboutScreen } from "@/screens/AboutScreen";
import { HistoryScreen } from "@/screens/HistoryScreen";
import { HomeScreen } from "@/screens/HomeScreen";
import { ResultScreen } from "@/screens/ResultScreen";
import { StraightenScreen } from "@/screens/StraightenScreen";
import { type PickedFile, WorkbenchProvider } from "@/screens/Workbench";

import { bytes, MODEL, VECTORS } from "../support/detector";
import { prediction } from "../support/prediction";

jest.mock("@/picking/pick", () => ({ pickFiles: jest.fn(), pickFromGallery: jest.fn(), takePhotograph: jest.fn() }));
jest.mock("@/picking/photograph", () => ({
  loadPhotograph: () => Promise.resolve({ data: new Uint8Array(4 * 20 * 10).fill(90), rows: 20, columns: 10 }),
}));

const card = readCard(bytes(MODEL));
// The network is left out here (vectors.test.ts runs it); files are read, cards and points are real.
const judged: { radiograph: Radiograph; point: string | null }[] = [];
const detector = {
  card,
  predict: (radiograph: Radiograph, point: string | null) => {
    judged.push({ radiograph, point });
    const { name, threshold } = operatingPoint(card, point);
    return Promise.resolve(prediction({ facts: radiograph.facts, operatingPoint: name, threshold }));
  },
} as unknown as Detector;

function open(address: string) {
  const Layout = () => (
    <DetectorProvider detector={detector}>
      <WorkbenchProvider>
        <Slot />
      </WorkbenchProvider>
    </DetectorProvider>
  );
  return renderRouter(
    {
      _layout: Layout,
      index: HomeScreen,
      history: HistoryScreen,
      about: AboutScreen,
      straighten: StraightenScreen,
      "result/[id]": ResultScreen,
    },
    { initialUrl: address },
  );
}

const picked = (name: string, content: Uint8Array): PickedFile => ({ name, bytes: () => Promise.resolve(content) });
const png = () => picked("chest.png", bytes(`${VECTORS}/inputs/grey-8bit.png`));

beforeEach(async () => {
  judged.length = 0;
  await history.clear();
});
afterEach(() => act(() => i18next.changeLanguage("en")));

test("one file that can be judged opens its result, and is kept", async () => {
  jest.mocked(pickFiles).mockResolvedValue([png()]);
  const app = open("/");
  fireEvent.press(screen.getByRole("radio", { name: "Confirm" }));
  fireEvent.press(screen.getByRole("button", { name: "Choose files" }));
  await screen.findByText("Opacity suspected");
  expect(app.getPathname()).toMatch(/^\/result\//);
  expect(judged).toMatchObject([{ point: "confirm", radiograph: { facts: { format: "PNG" } } }]);
  expect(screen.getByText(/^Operating point Confirm/)).toBeTruthy();
  expect(screen.getByText(/^Research use only/)).toBeTruthy();
  expect(await history.search("chest")).toHaveLength(1);
  fireEvent.press(screen.getByRole("button", { name: "Delete" }));
  await waitFor(() => expect(app.getPathname()).toBe("/"));
  expect(await history.search("")).toEqual([]);
});

test("what cannot be read is refused by name, and the rest is judged", async () => {
  const broken: PickedFile = { name: "gone.dcm", bytes: () => Promise.reject(new Error("no such file")) };
  jest.mocked(pickFiles).mockResolvedValue([picked("notes.txt", new TextEncoder().encode("only words, no image")), broken, png(), png()]);
  open("/");
  fireEvent.press(screen.getByRole("button", { name: "Choose files" }));
  await screen.findByText("Not read (2)");
  expect(screen.getByText(/^notes\.txt: .{8}/)).toBeTruthy();
  expect(screen.getByText(/^gone\.dcm: .{8}/)).toBeTruthy();
  expect(screen.getByText("Judged (2)")).toBeTruthy();
  fireEvent.press(screen.getByRole("button", { name: "Clear the list" }));
  expect(screen.queryByText("Judged (2)")).toBeNull();
});

test("a picker that is closed changes nothing; a camera that is forbidden is said", async () => {
  jest.mocked(pickFiles).mockResolvedValue([]);
  jest.mocked(takePhotograph).mockResolvedValue("denied");
  const app = open("/");
  fireEvent.press(screen.getByRole("button", { name: "Choose files" }));
  fireEvent.press(screen.getByRole("button", { name: "Photograph a film or screen" }));
  await screen.findByText(/^The camera may not be used/);
  expect(app.getPathname()).toBe("/");
  expect(judged).toEqual([]);
});

test("a photograph is turned, swapped, straightened and judged", async () => {
  jest.mocked(takePhotograph).mockResolvedValue({ uri: "file:///photograph.jpg" });
  const app = open("/");
  fireEvent.press(screen.getByRole("button", { name: "Photograph a film or screen" }));
  await screen.findByRole("button", { name: "Upper left corner" });
  expect(app.getPathname()).toBe("/straighten");
  for (const name of ["Turn by 90°", "Swap black and white", "Whole picture", "Straighten and judge"]) {
    fireEvent.press(screen.getByRole("button", { name }));
  }
  await screen.findByText("Opacity suspected");
  const [{ radiograph } = { radiograph: null }] = judged;
  expect(radiograph?.facts.format).toBe("photograph");
  expect(radiograph!.pixels.columns).toBeGreaterThan(radiograph!.pixels.rows);
  expect(radiograph!.pixels.data[0]).toBeCloseTo(1 - 90 / 255, 5);
});

test("the history is searched and deleted", async () => {
  for (const name of ["first.dcm", "second.dcm"]) await history.put(newRecord(name, prediction()));
  open("/history");
  await screen.findByText("2 results");
  fireEvent.changeText(screen.getByLabelText("Search by file name"), "second");
  await screen.findByText("1 result");
  expect(screen.getByRole("link", { name: /^second\.dcm, Opacity suspected, probability 73\.4%/ })).toBeTruthy();
  fireEvent.press(screen.getByRole("button", { name: "Delete second.dcm" }));
  await screen.findByText("No result has that name.");
  fireEvent.changeText(screen.getByLabelText("Search by file name"), "");
  await screen.findByText("1 result");
  fireEvent.press(screen.getByRole("button", { name: "Delete all" }));
  fireEvent.press(screen.getByRole("button", { name: "Cancel" }));
  fireEvent.press(screen.getByRole("button", { name: "Delete all" }));
  fireEvent.press(screen.getByRole("button", { name: "Delete" }));
  await screen.findByText(/^Nothing yet/);
});

test("a result that is gone says so", async () => {
  open("/result/none");
  await screen.findByText("This result is no longer in the history.");
});

test("the model card is shown, and the language changes at once", async () => {
  open("/about");
  expect(screen.getByText(`Target: ${card.target}`)).toBeTruthy();
  expect(screen.getByText(new RegExp(`${card.name} ${card.version}`))).toBeTruthy();
  await act(async () => fireEvent.press(screen.getByRole("radio", { name: "العربية" })));
  expect(screen.getByText(/للأبحاث فقط/)).toBeTruthy();
});

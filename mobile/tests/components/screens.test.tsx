/** The screens, on their routes: picking, judging, history, straightening, language. */

import { Slot } from "expo-router";
import { act, fireEvent, renderRouter, screen, waitFor } from "expo-router/testing-library";

import { LocalEngine } from "@nanoray/web/engine";
import type { ModelCard } from "@nanoray/web/detecting/modelcard";
import type { Session } from "@nanoray/web/detecting/runtime";

import { EngineProvider } from "@/detecting/EngineContext";
import { newRecord } from "@/history/record";
import { setSetting } from "@/history/settings";
import { history } from "@/history/store";
import { i18next } from "@/i18n";
import { pickFiles, takePhotograph } from "@/picking/pick";
import { AboutScreen } from "@/screens/AboutScreen";
import { HistoryScreen } from "@/screens/HistoryScreen";
import { HomeScreen } from "@/screens/HomeScreen";
import { NotFoundScreen } from "@/screens/NotFoundScreen";
import { ResultScreen } from "@/screens/ResultScreen";
import { StraightenScreen } from "@/screens/StraightenScreen";
import { type PickedFile, WorkbenchProvider } from "@/screens/Workbench";

import { bytes, MODEL, VECTORS } from "../support/detector";
import { prediction } from "../support/prediction";

jest.mock("@/picking/pick", () => ({ pickFiles: jest.fn(), pickFromGallery: jest.fn(), takePhotograph: jest.fn() }));

// The network is left out here (vectors.test.ts runs it) and always suspects. Files are read,
// photographs straightened, cards and points real.
const squares: Float32Array[] = [];
const session: Session = {
  run(_, { data }) {
    squares.push(data);
    return Promise.resolve({
      logit: { data: Float32Array.of(3), dims: [1, 1] },
      cam: { data: new Float32Array(64).fill(3), dims: [1, 1, 8, 8] },
      novelty: { data: Float32Array.of(0), dims: [1] },
    });
  },
};
let engine: LocalEngine;
let card: ModelCard;
beforeAll(async () => {
  engine = await LocalEngine.load(bytes(MODEL), () => Promise.resolve(session));
  ({ card } = engine);
  setSetting("welcomed", "1");
});

function open(address: string) {
  const Layout = () => (
    <EngineProvider engine={engine}>
      <WorkbenchProvider>
        <Slot />
      </WorkbenchProvider>
    </EngineProvider>
  );
  return renderRouter(
    {
      _layout: Layout,
      index: HomeScreen,
      history: HistoryScreen,
      about: AboutScreen,
      straighten: StraightenScreen,
      "result/[id]": ResultScreen,
      "+not-found": NotFoundScreen,
    },
    { initialUrl: address },
  );
}

const picked = (name: string, content: Uint8Array): PickedFile => ({ name, content: () => Promise.resolve(content) });
const png = () => picked("chest.png", bytes(`${VECTORS}/inputs/grey-8bit.png`));

beforeEach(async () => {
  squares.length = 0;
  await history.clear();
});
afterEach(() => act(() => i18next.changeLanguage("en")));

test("one file that can be judged opens its result, and is kept", async () => {
  jest.mocked(pickFiles).mockResolvedValue([png()]);
  const app = open("/");
  fireEvent.press(screen.getByRole("button", { name: /^Operating point/ }));
  fireEvent.press(screen.getByRole("radio", { name: "Confirm" }));
  fireEvent.press(screen.getByRole("button", { name: "Files" }));
  await screen.findByText("Opacity suspected");
  expect(app.getPathname()).toMatch(/^\/result\//);
  expect(squares).toHaveLength(1);
  fireEvent.press(screen.getByRole("button", { name: "Details" }));
  expect(screen.getByText(/^Operating point Confirm/)).toBeTruthy();
  expect(screen.getByText(/^Research use only/)).toBeTruthy();
  expect((await history.search("chest", 0, 9)).total).toBe(1);
  fireEvent.press(screen.getByRole("button", { name: "Delete" }));
  await screen.findByText("1 result deleted");
  expect((await history.search("", 0, 9)).total).toBe(0);
  fireEvent.press(screen.getByRole("button", { name: "Undo" }));
  await screen.findByText("Opacity suspected");
  expect((await history.search("", 0, 9)).total).toBe(1);
});

test("what cannot be read is refused by name, and the rest is judged", async () => {
  const broken: PickedFile = { name: "gone.dcm", content: () => Promise.reject(new Error("no such file")) };
  jest.mocked(pickFiles).mockResolvedValue([picked("notes.txt", new TextEncoder().encode("only words, no image")), broken, png(), png()]);
  open("/");
  fireEvent.press(screen.getByRole("button", { name: "Files" }));
  await screen.findByText("Not read (2)");
  expect(screen.getByText(/^notes\.txt: .{8}/)).toBeTruthy();
  expect(screen.getByText(/^gone\.dcm: .{8}/)).toBeTruthy();
  expect(screen.getByText("Judged (2)")).toBeTruthy();
  fireEvent.press(screen.getByRole("button", { name: "Clear the list" }));
  expect(screen.queryByText("Judged (2)")).toBeNull();
});

test("a picker that is closed changes nothing; one that fails, and a forbidden camera, are said", async () => {
  jest.mocked(pickFiles).mockResolvedValueOnce([]).mockRejectedValueOnce(new Error("no such picker"));
  jest.mocked(takePhotograph).mockResolvedValue("denied");
  const app = open("/");
  fireEvent.press(screen.getByRole("button", { name: "Files" }));
  fireEvent.press(screen.getByRole("button", { name: "Files" }));
  await screen.findByText(/^The picture could not be opened/);
  fireEvent.press(screen.getByRole("button", { name: "Camera" }));
  await screen.findByText(/^No access to the camera/);
  expect(app.getPathname()).toBe("/");
  expect(squares).toEqual([]);
});

test("what the camera gives and the app cannot decode is refused with advice", async () => {
  const heic = Uint8Array.from([0, 0, 0, 16, ...Array.from("ftypheic", (letter) => letter.charCodeAt(0)), 0, 0, 0, 0]);
  jest.mocked(takePhotograph).mockResolvedValue({ ...picked("photo.heic", heic), camera: true });
  open("/");
  fireEvent.press(screen.getByRole("button", { name: "Camera" }));
  await screen.findByText(/^photo\.heic: is a HEIC picture.*share it as JPEG/);
});

test("a photograph is turned, swapped, straightened and judged", async () => {
  jest.mocked(takePhotograph).mockResolvedValue({ ...png(), camera: true });
  const app = open("/");
  fireEvent.press(screen.getByRole("button", { name: "Camera" }));
  await screen.findByRole("button", { name: "Upper left corner" });
  expect(app.getPathname()).toBe("/straighten");
  expect(screen.getByText(/^Corners (not )?found/)).toBeTruthy();
  fireEvent.press(screen.getByRole("button", { name: "Turn by 90°" }));
  for (const name of ["Swap black and white", "Whole picture", "Straighten and judge"]) {
    fireEvent.press(screen.getByRole("button", { name }));
  }
  await screen.findByText("Opacity suspected");
  expect(screen.getByText("photograph of a film or screen")).toBeTruthy();
  expect(squares).toHaveLength(1);
});

test("the history is searched, and deletions can be taken back", async () => {
  for (const name of ["first.dcm", "second.dcm"]) await history.put(newRecord(name, prediction()));
  open("/history");
  await screen.findByText("2 results");
  fireEvent.changeText(screen.getByLabelText("Search by file name"), "second");
  await screen.findByText("1 result");
  expect(screen.getByRole("link", { name: /^second\.dcm, Opacity suspected, probability 73%/ })).toBeTruthy();
  fireEvent.press(screen.getByRole("button", { name: "Delete second.dcm" }));
  await screen.findByText("No result matches.");
  fireEvent.press(screen.getByRole("button", { name: "Undo" }));
  await screen.findByText("1 result");
  fireEvent.changeText(screen.getByLabelText("Search by file name"), "");
  await screen.findByText("2 results");
  fireEvent.press(screen.getByRole("button", { name: "Delete all" }));
  fireEvent.press(screen.getByRole("button", { name: "Cancel" }));
  fireEvent.press(screen.getByRole("button", { name: "Delete all" }));
  fireEvent.press(screen.getByRole("button", { name: "Delete" }));
  await screen.findByText(/^No results yet/);
});

test("what is deleted leaves the lists of the first screen too", async () => {
  jest.mocked(pickFiles).mockResolvedValue([png(), png(), picked("notes.txt", new TextEncoder().encode("only words"))]);
  open("/");
  fireEvent.press(screen.getByRole("button", { name: "Files" }));
  await screen.findByText("Judged (2)");
  fireEvent.press(screen.getByRole("button", { name: "History" }));
  await screen.findByText("2 results");
  fireEvent.press(screen.getByRole("button", { name: "Delete all" }));
  fireEvent.press(screen.getByRole("button", { name: "Delete" }));
  await screen.findByText(/^No results yet/);
  // The way back ends the time for "Undo": only then it is deleted.
  fireEvent.press(screen.getByRole("button", { name: "Back" }));
  await screen.findByText(/^No results yet/);
  expect(screen.queryByText("Judged (2)")).toBeNull();
  expect(screen.queryByRole("link", { name: /chest/ })).toBeNull();
  // What was refused was not kept, and stays.
  expect(screen.getByText("Not read (1)")).toBeTruthy();
  expect((await history.search("", 0, 9)).total).toBe(0);
});

test("a deletion that is taken back restores the result where it was never kept", async () => {
  jest.mocked(pickFiles).mockResolvedValue([png()]);
  const put = jest.spyOn(history, "put").mockRejectedValueOnce(new Error("storage is full"));
  open("/");
  fireEvent.press(screen.getByRole("button", { name: "Files" }));
  await screen.findByText("Opacity suspected");
  fireEvent.press(screen.getByRole("button", { name: "Delete" }));
  await screen.findByText("1 result deleted");
  fireEvent.press(screen.getByRole("button", { name: "Undo" }));
  await screen.findByText("Opacity suspected");
  put.mockRestore();
});

test("a result that is gone says so, and leads home", async () => {
  const app = open("/result/none");
  await screen.findByText("This result is no longer in the history.");
  fireEvent.press(screen.getByRole("button", { name: "Back" }));
  await waitFor(() => expect(app.getPathname()).toBe("/"));
});

test("an unknown address leads home", async () => {
  const app = open("/no/such/page");
  await screen.findByText("Page not found.");
  fireEvent.press(screen.getByRole("button", { name: "Home" }));
  await waitFor(() => expect(app.getPathname()).toBe("/"));
});

test("the model card is shown, and the language changes at once", async () => {
  open("/about");
  expect(screen.getByText(`Target: ${card.target}`)).toBeTruthy();
  expect(screen.getByText(new RegExp(`${card.name} ${card.version}`))).toBeTruthy();
  expect(screen.getAllByText(/95% interval/).length).toBeGreaterThanOrEqual(2);
  await act(async () => fireEvent.press(screen.getByRole("radio", { name: "العربية" })));
  expect(screen.getByText(/للأبحاث فقط/)).toBeTruthy();
});

test("how good it is stands there for each view, in words and percent", async () => {
  open("/about");
  await screen.findByText("How good it is");
  for (const { view, operatingPoints } of card.views) {
    const { sensitivity, specificity } = operatingPoints.find(({ name }) => name === card.defaultOperatingPoint)!;
    const percents = [sensitivity, specificity].map((value) => `${Math.round(100 * value)}%`);
    const text = screen.getByText(new RegExp(`^${view} view: ${percents[0]} of radiographs with .* ${percents[1]} of those without`));
    expect(text).toBeTruthy();
  }
  const [rank] = card.metrics["cross-validated AUROC challenge"]!;
  expect(screen.getByText(new RegExp(`higher probability in ${Math.round(100 * rank)}% of cases`))).toBeTruthy();
  expect(screen.queryByText(/calibration|boxes/)).toBeNull();
});

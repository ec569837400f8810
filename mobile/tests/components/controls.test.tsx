/** Controls: names, roles and states. */

import { fireEvent, render, screen } from "@testing-library/react-native";

import { Button, Choice, Slider } from "@/components/controls";

test("a button has a role and a name, and is silent when disabled", () => {
  const press = jest.fn();
  const { rerender } = render(<Button label="Choose files" onPress={press} />);
  fireEvent.press(screen.getByRole("button", { name: "Choose files" }));
  expect(press).toHaveBeenCalledTimes(1);
  rerender(<Button label="Choose files" onPress={press} disabled />);
  fireEvent.press(screen.getByRole("button", { name: "Choose files" }));
  expect(press).toHaveBeenCalledTimes(1);
});

test("a choice says which is chosen", () => {
  const change = jest.fn();
  const options = [
    { value: "a", label: "First" },
    { value: "b", label: "Second" },
  ];
  render(<Choice label="Point" options={options} value="a" onChange={change} />);
  expect(screen.getByRole("radio", { name: "First" }).props.accessibilityState).toMatchObject({ checked: true });
  fireEvent.press(screen.getByRole("radio", { name: "Second" }));
  expect(change).toHaveBeenCalledWith("b");
});

test("a slider stops at its ends, and tells screen readers where it is", () => {
  const change = jest.fn();
  render(<Slider label="Level" value={95} low={0} high={100} step={10} onChange={change} />);
  const slider = screen.getByLabelText("Level");
  expect(slider.props.accessibilityValue).toMatchObject({ min: 0, max: 100, now: 95 });
  fireEvent(slider, "accessibilityAction", { nativeEvent: { actionName: "increment" } });
  expect(change).toHaveBeenCalledWith(100);
});

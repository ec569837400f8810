/** The view rule, as `tests/detecting/test_views.py` has it. */

import { viewOf } from "@nanoray/web/detecting/view";

test.each([
  ["PA", null, "PA"],
  ["AP SUPINE", -9, "AP"],
  ["PA_ERECT", 9, "PA"],
  ["LATERAL", 9, null],
  ["AP/PA", 9, "AP"],
  ["", -3, "PA"],
  [null, 3, "AP"],
  [null, 2, null],
  [null, null, null],
])("%s with the logit %s", (header, logit, view) => {
  expect(viewOf(header, logit)).toBe(view);
});

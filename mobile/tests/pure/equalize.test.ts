/** Histogram equalisation: numbers computed by NumPy with `numpy.histogram(range=(0, 1), bins=1024)`. */

import { equalize } from "@nanoray/web/reading/equalize";

// prettier-ignore
const square = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0117647061124444, 1.0, 0.34063857793807983, 0.2802165150642395, 0.1321883350610733, 0.4280194640159607, 0.4438794255256653, 0.4438794255256653, 0.4438794255256653, 0.15298223495483398, 0.3365194499492645, 0.3423495888710022, 0.7306649088859558, 0.7029469609260559, 0.6773460507392883, 0.17155349254608154, 0.45569318532943726, 0.10202661901712418, 0.407278448343277, 0.39908552169799805, 0.2632836103439331, 0.21144172549247742, 0.2620832920074463, 0.15375396609306335, 0.6115899085998535, 0.465733140707016, 0.39013123512268066, 0.3838581442832947, 0.5619818568229675, 0.4940650463104248];
// prettier-ignore
const equalized = [0, 0, 0, 0, 0, 0, 0, 0.9827586, 0.362069, 0.2931035, 0.05172414, 0.5689655, 0.637931, 0.637931, 0.637931, 0.0862069, 0.3275862, 0.3965517, 0.9482759, 0.9137931, 0.8793104, 0.1551724, 0.7068965, 0.01724138, 0.5344828, 0.5, 0.2586207, 0.1896552, 0.2241379, 0.1206897, 0.8448276, 0.7413793, 0.4655173, 0.4310345, 0.8103448, 0.7758621];

test("grey values become cumulative shares; black stays black and does not weigh", () => {
  const { data } = equalize({ data: Float32Array.from(square), rows: 6, columns: 6 });
  data.forEach((value, i) => expect(value).toBeCloseTo(equalized[i]!, 6));
  expect(Array.from(data.subarray(0, 7))).toEqual(Array(7).fill(0));
});

test("an empty square stays empty", () => {
  const { data } = equalize({ data: new Float32Array(16), rows: 4, columns: 4 });
  expect(Array.from(data)).toEqual(Array(16).fill(0));
});

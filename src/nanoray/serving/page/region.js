// The region where the local evidence reaches the threshold, as closed outlines.
//
// The map of cells is enlarged between the cells' centres (bilinear; constant beyond the outer
// centres, where there are no values), and its level line is followed square by square.

const FINE = 128; // squares along the longer side

/** Value of a map { rows, columns, values } at a place in 0..1 x 0..1. */
export function valueAt(map, x, y) {
  const column = Math.min(map.columns - 1, Math.max(0, x * map.columns - 0.5));
  const row = Math.min(map.rows - 1, Math.max(0, y * map.rows - 0.5));
  const [left, top] = [Math.floor(column), Math.floor(row)];
  const [right, bottom] = [Math.min(left + 1, map.columns - 1), Math.min(top + 1, map.rows - 1)];
  const [dx, dy] = [column - left, row - top];
  const upper = map.values[top][left] * (1 - dx) + map.values[top][right] * dx;
  const lower = map.values[bottom][left] * (1 - dx) + map.values[bottom][right] * dx;
  return upper * (1 - dy) + lower * dy;
}

/**
 * Outlines of the region of a map at or above a level: closed polygons of [x, y] in 0..1, which a
 * path fills by the even-odd rule.
 */
export function outlines(map, level) {
  const longer = Math.max(map.rows, map.columns);
  const columns = Math.max(2, Math.round((FINE * map.columns) / longer));
  const rows = Math.max(2, Math.round((FINE * map.rows) / longer));
  // A rim below every level closes regions at the edge.
  const width = columns + 3;
  const grid = new Float64Array(width * (rows + 3)).fill(-1);
  for (let row = 0; row <= rows; row++) {
    for (let column = 0; column <= columns; column++) {
      grid[(row + 1) * width + column + 1] = valueAt(map, column / columns, row / rows) - level;
    }
  }
  const next = new Map();
  for (let row = 0; row < rows + 2; row++) {
    for (let column = 0; column < width - 1; column++) square(grid, width, row, column, next);
  }
  return polygons(next, (x, y) => [
    Math.min(1, Math.max(0, (x - 1) / columns)),
    Math.min(1, Math.max(0, (y - 1) / rows)),
  ]);
}

// Marching squares: the ends of a segment lie on edges, which are named by their place.
function square(grid, width, row, column, next) {
  const at = row * width + column;
  const corners = [grid[at], grid[at + 1], grid[at + width + 1], grid[at + width]];
  const inside = corners.map((value) => value >= 0);
  const count = inside.filter(Boolean).length;
  if (count === 0 || count === 4) return;
  const share = (a, b) => a / (a - b);
  const [a, b, c, d] = corners;
  const edges = [
    () => [`h${at}`, column + share(a, b), row],
    () => [`v${at + 1}`, column + 1, row + share(b, c)],
    () => [`h${at + width}`, column + share(d, c), row + 1],
    () => [`v${at}`, column, row + share(a, d)],
  ];
  // Walking with the region on the right: each edge where it is left leads to where it is entered.
  const entries = [];
  const exits = [];
  for (let edge = 0; edge < 4; edge++) {
    const [from, to] = [inside[edge], inside[(edge + 1) % 4]];
    if (from && !to) exits.push(edge);
    else if (!from && to) entries.push(edge);
  }
  for (const exit of exits) {
    // In a saddle, corners of the region stay apart unless the middle belongs to it.
    const joined = (a + b + c + d) / 4 >= 0;
    const order = joined ? [1, 2, 3] : [3, 2, 1];
    const entry = order.map((step) => (exit + step) % 4).find((edge) => entries.includes(edge));
    const [name, x, y] = edges[exit]();
    next.set(name, { point: [x, y], to: edges[entry]()[0] });
  }
}

function polygons(next, place) {
  const found = [];
  while (next.size) {
    let [name] = next.keys();
    const points = [];
    while (next.has(name)) {
      const { point, to } = next.get(name);
      next.delete(name);
      points.push(place(...point));
      name = to;
    }
    if (points.length > 2) found.push(points);
  }
  return found;
}

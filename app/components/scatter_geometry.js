// Polygons, rotations, and the grid that finds the point under the pointer.

const MOST_VERTICES = 200

// Fewer corners that stay as near to the path as so many allow (Douglas and Peucker 1973).
function simplify(path) {
  let kept = path
  for (let tolerance = 0.5; kept.length > MOST_VERTICES; tolerance *= 1.5) {
    kept = thin(path, tolerance)
  }
  return kept
}

function thin(path, tolerance) {
  const keep = new Uint8Array(path.length)
  keep[0] = keep[path.length - 1] = 1
  const open = [[0, path.length - 1]]
  while (open.length) {
    const [first, last] = open.pop()
    let [farthest, distance] = [-1, tolerance]
    for (let i = first + 1; i < last; i++) {
      const away = distanceToLine(path[i], path[first], path[last])
      if (away > distance) [farthest, distance] = [i, away]
    }
    if (farthest < 0) continue
    keep[farthest] = 1
    open.push([first, farthest], [farthest, last])
  }
  return path.filter((_, i) => keep[i])
}

function distanceToLine([x, y], [x0, y0], [x1, y1]) {
  const length = Math.hypot(x1 - x0, y1 - y0)
  if (length === 0) return Math.hypot(x - x0, y - y0)
  return Math.abs((x1 - x0) * (y0 - y) - (x0 - x) * (y1 - y0)) / length
}

// By the even-odd rule: a point is inside if a ray from it crosses the edges an odd number of times.
function insidePolygon(x, y, polygon) {
  let inside = false
  let [x0, y0] = polygon.at(-1)
  for (const [x1, y1] of polygon) {
    if (y0 > y !== y1 > y && x < ((x0 - x1) * (y - y1)) / (y0 - y1) + x1) inside = !inside
    x0 = x1
    y0 = y1
  }
  return inside
}

function bounds(polygon) {
  const of = (axis) => polygon.map((corner) => corner[axis])
  const [xs, ys] = [of(0), of(1)]
  return [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)]
}

// --- rotations: matrices of three rows, whose first two are the axes of the screen ------------

const UNTURNED = [
  [1, 0, 0],
  [0, 1, 0],
  [0, 0, 1],
]

const times = (a, b) => a.map((row) => [0, 1, 2].map((j) => dot(row, [b[0][j], b[1][j], b[2][j]])))

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0)

// Turns further by angles around the screen's vertical and horizontal axes.
function turn(rotation, across, down) {
  const [c, s] = [Math.cos(across), Math.sin(across)]
  const [d, t] = [Math.cos(down), Math.sin(down)]
  const around = [
    [c, 0, s],
    [0, 1, 0],
    [-s, 0, c],
  ]
  const over = [
    [1, 0, 0],
    [0, d, t],
    [0, -t, d],
  ]
  return times(over, times(around, rotation))
}

// --- places ----------------------------------------------------------------------------------

// Points in square cells, so that those near a place are found without looking at all.
class Grid {
  constructor(xs, ys, width, height, cell) {
    Object.assign(this, { xs, ys, cell })
    this.columns = Math.ceil(width / cell)
    this.rows = Math.ceil(height / cell)
    this.starts = new Uint32Array(this.columns * this.rows + 1)
    const cells = new Int32Array(xs.length)
    for (let i = 0; i < xs.length; i++) {
      const column = Math.floor(xs[i] / cell)
      const row = Math.floor(ys[i] / cell)
      const seen = column >= 0 && row >= 0 && column < this.columns && row < this.rows
      cells[i] = seen ? row * this.columns + column : -1
      if (seen) this.starts[cells[i] + 1]++
    }
    for (let i = 1; i < this.starts.length; i++) this.starts[i] += this.starts[i - 1]
    const next = this.starts.slice(0, -1)
    this.points = new Uint32Array(this.starts.at(-1))
    for (let i = 0; i < xs.length; i++) if (cells[i] >= 0) this.points[next[cells[i]]++] = i
  }

  // The nearest point, no farther away than a cell's side; null for none.
  nearest(x, y) {
    let [best, distance] = [null, this.cell ** 2]
    const column = Math.floor(x / this.cell)
    const row = Math.floor(y / this.cell)
    const left = Math.max(column - 1, 0)
    const right = Math.min(column + 1, this.columns - 1)
    for (let r = Math.max(row - 1, 0); r <= Math.min(row + 1, this.rows - 1); r++) {
      const from = this.starts[r * this.columns + left]
      const to = this.starts[r * this.columns + right + 1]
      for (let k = from; k < to; k++) {
        const i = this.points[k]
        const away = (this.xs[i] - x) ** 2 + (this.ys[i] - y) ** 2
        if (away <= distance) [best, distance] = [i, away]
      }
    }
    return best
  }
}

// Indices in the order of their depths, by 256 steps of it: near enough for what hides what.
function byDepth(list, depths) {
  const STEPS = 256
  let [low, high] = [Infinity, -Infinity]
  for (const i of list) {
    if (depths[i] < low) low = depths[i]
    if (depths[i] > high) high = depths[i]
  }
  const scale = high > low ? (STEPS - 1) / (high - low) : 0
  const starts = new Uint32Array(STEPS + 1)
  for (const i of list) starts[Math.floor((depths[i] - low) * scale) + 1]++
  for (let step = 1; step <= STEPS; step++) starts[step] += starts[step - 1]
  const sorted = new Uint32Array(list.length)
  for (const i of list) sorted[starts[Math.floor((depths[i] - low) * scale)]++] = i
  return sorted
}

// The matrix viewer: frames of codes put through a palette onto a canvas, one panel a run.
//
// Streamlit mounts this module twice a viewer, once with all frames and once with the view, and
// both mounts share its variables. Whichever comes first waits for the other.

const TOP = 254
const BLANK = 255
const SETTLE_MS = 250 // a key at rest for so long has chosen its frame
const PLAY_MS = 8000 // a whole run, unless its frames would be too quick or too slow
const MAX_PLOT = 640 // CSS pixels, as everything below
const PAD_TOP = 8
const PANEL_TITLE = 22
const BAR = { gap: 14, width: 14, room: 80 } // room of its numbers and title
const STRIP = { gap: 5, width: 8 } // left of a panel: the samples behind each row
const TREE = { gap: 10, width: 76 } // right of the last panel
const PANEL_GAP = 18
const FONT = 11
const LINE = 12 // room of one axis label
const MAX_LABEL = 130
const MIN_SIDE = 4 // classes that the closest zoom shows
const WIDE = 24 // a class from which on its edges are seen, and groups take more than a line
const MIN_GROUP = 8 // lines between narrower groups would veil the values
const PAGE = 10 // cells of a page up or down
const GREY = "#9AA0A6"
const NO_SAMPLE = "#D55E00" // vermilion, which no palette but the diverging one comes near

const frameStore = new Map() // channel -> frames
const viewers = new Map() // channel -> Viewer

export default function (component) {
  const { header, body } = unpack(component.data)
  return header.kind === "frames"
    ? receiveFrames(component.parentElement, header, body)
    : receiveView(component, header, body)
}

function receiveFrames(owner, header, body) {
  const { channel, token } = header
  if (frameStore.get(channel)?.token !== token) {
    frameStore.set(channel, { ...header, ...readFrames(header, body) })
  }
  frameStore.get(channel).owner = owner
  viewers.get(channel)?.framesArrived()
  return () => {
    if (frameStore.get(channel)?.owner === owner) frameStore.delete(channel)
  }
}

// In the order of the message: colours, merges of the tree, codes of all panels, their strips.
function readFrames({ panels, labels, side, merges }, body) {
  let at = 0
  const read = (length) => body.subarray(at, (at += length))
  // Sliced: the message's bytes need not start where 32-bit numbers may.
  const palette = new Uint32Array(read(1024).slice().buffer)
  const tree = new Float32Array(read(merges * 20).slice().buffer)
  const codes = panels.map(() => read(labels.length * side ** 2))
  const strips = panels.map(({ counted }) => counted && read(labels.length * side))
  return { palette, tree, codes, strips }
}

function receiveView({ parentElement, setStateValue, setTriggerValue }, header, body) {
  const { channel } = header
  let viewer = viewers.get(channel)
  if (viewer?.parent !== parentElement) {
    viewer?.destroy()
    viewer = new Viewer(parentElement)
    viewers.set(channel, viewer)
  }
  const values = new Float32Array(body.slice().buffer)
  viewer.setState = setStateValue
  viewer.setTrigger = setTriggerValue
  viewer.viewArrived(header, values)
  return () => {
    viewer.destroy()
    if (viewers.get(channel) === viewer) viewers.delete(channel)
  }
}

function cut(values, size) {
  return Array.from({ length: values.length / size }, (_, i) =>
    values.subarray(i * size, (i + 1) * size),
  )
}

// --- numbers ---------------------------------------------------------------------------------

function position(value, { kind, low, high }) {
  const inside = clamp(value, low, high)
  if (kind !== "log") return (inside - low) / (high - low)
  return Math.log10(inside / low) / Math.log10(high / low)
}

function decode(code, { kind, low, high }) {
  const share = code / TOP
  return kind === "log" ? low * (high / low) ** share : low + share * (high - low)
}

function formatNumber(value) {
  if (value === 0) return "0"
  const size = Math.abs(value)
  if (size < 1e-4 || size >= 1e6) {
    return Number(value.toPrecision(3)).toExponential().replaceAll("-", "−")
  }
  return String(Number(value.toPrecision(4))).replace("-", "−")
}

// Values beyond the scale have its last code: what is known of them is on which side they are.
function formatCode(code, scale) {
  if (code === BLANK) return "—"
  const sign = code === TOP ? "≳" : code === 0 && scale.low !== 0 ? "≲" : "≈"
  const value = Number(decode(code, scale).toPrecision(2))
  return `${sign} ${formatNumber(value)}`
}

function scaleTicks(scale, room) {
  return scale.kind === "log" ? logTicks(scale, room) : linearTicks(scale, room)
}

function logTicks({ low, high }, room) {
  const decades = Math.log10(high / low)
  const steps = (room / decades) * Math.log10(2) >= 16 ? [1, 2, 5] : [1]
  const ticks = []
  for (let exponent = Math.floor(Math.log10(low)); 10 ** exponent <= high; exponent++) {
    for (const step of steps) ticks.push(Number(`${step}e${exponent}`))
  }
  return ticks.filter((tick) => tick >= low && tick <= high * 1.000001)
}

function linearTicks({ low, high }, room) {
  const rough = ((high - low) * 50) / room
  const decade = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((m) => m * decade).find((s) => s >= rough)
  const ticks = []
  for (let i = Math.ceil(low / step); i * step <= high * 1.000001; i++) {
    ticks.push(Number((i * step).toPrecision(6)))
  }
  return ticks
}

// --- cells to pixels -------------------------------------------------------------------------

// How strongly a code asks to be seen when several share one pixel.
function strengths(kind) {
  return Uint8Array.from({ length: 256 }, (_, code) => {
    if (code === BLANK) return 0
    return kind === "diverging" ? Math.abs(code - TOP / 2) + 1 : code + 1
  })
}

// An image that is reused from frame to frame.
class Picture {
  constructor() {
    this.canvas = document.createElement("canvas")
    this.context = this.canvas.getContext("2d")
  }

  // Paints the square part of `codes` (side × side) from (row, column) on, `cells` wide; more
  // cells than `pixels` are pooled, as dropping them would tear thin lines apart.
  paint(codes, side, { row, column, cells }, pixels, palette, strength) {
    const factor = Math.max(1, Math.ceil(cells / pixels))
    const size = Math.ceil(cells / factor)
    if (this.canvas.width !== size) {
      this.canvas.width = this.canvas.height = size
      this.image = null
    }
    this.image ??= this.context.createImageData(size, size)
    const target = new Uint32Array(this.image.data.buffer)
    if (factor === 1) {
      for (let y = 0, out = 0; y < size; y++) {
        let from = (row + y) * side + column
        for (let x = 0; x < size; x++) target[out++] = palette[codes[from++]]
      }
    } else {
      paintPooled(target, codes, side, { row, column, cells }, factor, palette, strength)
    }
    this.context.putImageData(this.image, 0, 0)
    return cells / factor // how much of the picture is covered: its last cell may be a part
  }
}

function paintPooled(target, codes, side, { row, column, cells }, factor, palette, strength) {
  const size = Math.ceil(cells / factor)
  for (let y = 0; y < size; y++) {
    const lastRow = Math.min((y + 1) * factor, cells)
    for (let x = 0; x < size; x++) {
      const lastColumn = Math.min((x + 1) * factor, cells)
      let best = BLANK
      for (let i = y * factor; i < lastRow; i++) {
        const line = (row + i) * side + column
        for (let j = x * factor; j < lastColumn; j++) {
          const code = codes[line + j]
          if (strength[code] > strength[best]) best = code
        }
      }
      target[y * size + x] = palette[best]
    }
  }
}

// --- the viewer ------------------------------------------------------------------------------

class Viewer {
  constructor(parent) {
    const find = (selector) => parent.querySelector(selector)
    this.parent = parent
    this.root = find(".viewer")
    this.titleElement = find(".title")
    this.controls = find(".controls")
    this.play = find(".play")
    this.slider = find(".slider")
    this.label = find(".label")
    this.canvas = find("canvas")
    this.tip = find(".tip")
    this.hint = find(".hint")
    this.spoken = find(".spoken")
    this.context = this.canvas.getContext("2d")
    this.pictures = [] // one a panel, and one a panel's exact values
    this.detailPictures = []
    this.frame = null
    this.sent = [] // frames that Python has not confirmed yet
    this.cross = null // {row, column, panel} under the pointer or moved by the keyboard
    this.chosen = null // [row class, column class]
    this.drag = null
    this.frames = null
    this.listen()
    this.observer = new ResizeObserver(() => this.draw())
    this.observer.observe(this.root)
  }

  destroy() {
    this.observer.disconnect()
    clearInterval(this.timer)
    clearTimeout(this.settling)
    clearTimeout(this.clicking)
    cancelAnimationFrame(this.pending)
  }

  // What comes from Python ------------------------------------------------------------------

  framesArrived() {
    const frames = frameStore.get(this.channel)
    if (frames && frames.token === this.token) this.adopt(frames)
  }

  viewArrived(header, values) {
    this.channel = header.channel
    this.token = header.token
    const { cells, counts } = header.detail
    this.detail = { ...header.detail, frame: header.frame, token: header.token }
    this.detail.panels = cut(values.subarray(0, values.length - counts), cells ** 2)
    this.detail.counts = values.subarray(values.length - counts)
    this.detailCodes = null
    const echo = this.sent.lastIndexOf(header.frame)
    if (echo >= 0) {
      // An answer to what was sent: the user may be elsewhere by now.
      this.sent.splice(0, echo + 1)
    } else if (header.frame !== this.confirmed) {
      this.frame = header.frame
    }
    this.confirmed = header.frame
    this.readTheme()
    this.framesArrived()
  }

  adopt(frames) {
    if (frames !== this.frames) {
      const resized = frames.names.length !== this.frames?.names.length
      this.frames = frames
      this.n = frames.names.length
      this.count = frames.labels.length
      this.pictures = frames.panels.map(() => new Picture())
      this.detailPictures = frames.panels.map(() => new Picture())
      this.strength = strengths(frames.scale.kind)
      this.groupOf = frames.groups.flatMap(([name, size]) => Array(size).fill(name))
      this.cross = null
      if (resized) {
        this.window = this.firstWindow()
        this.asked = this.windowKey()
        this.chosen = null
      }
      this.describe()
    }
    this.measure()
    this.showFrame(clamp(this.frame, 0, this.count - 1))
  }

  // What Python cut the values from: a viewer that comes back takes up where it was.
  firstWindow() {
    const { row, column, side } = this.detail
    return { row, column, side }
  }

  // Every value of a small matrix is here already, so that its window concerns nobody else.
  windowKey() {
    return this.n > this.frames.detailSide ? JSON.stringify(this.window) : ""
  }

  describe() {
    const { texts, panels } = this.frames
    const title = panels.map((panel) => panel.title).join(", ")
    this.titleElement.textContent = title
    this.titleElement.hidden = panels.length > 1 || !title
    this.controls.hidden = this.count < 2
    this.slider.max = this.count - 1
    this.slider.setAttribute("aria-label", texts.frame)
    this.setPlaying(Boolean(this.timer))
    this.canvas.setAttribute(
      "aria-label",
      `${title}: matrix of ${this.n} by ${this.n} classes. Arrow keys move to a cell, ` +
        `Home and End go along its row, page up and down ${PAGE} rows, Enter chooses it, ` +
        "plus and minus zoom, Escape shows everything, space plays.",
    )
    const zooms = this.n > MIN_SIDE
    const mouse = zooms ? "Drag or Ctrl-scroll zooms, double-click resets, click" : "Click"
    const keys = zooms ? "+, Escape, arrows and Enter" : "arrows and Enter"
    const strip = panels.some((panel) => panel.counted)
      ? ` Strip: ${texts.count}, orange for none.`
      : ""
    this.hint.textContent = `${mouse} chooses; by keys: ${keys}.${strip}`
  }

  readTheme() {
    const theme = pageTheme(this.root)
    this.theme = { ...theme, font: `${FONT}px ${theme.family}` }
  }

  // What goes to Python ---------------------------------------------------------------------

  settleSoon(delay) {
    clearTimeout(this.settling)
    this.settling = setTimeout(() => this.settle(), delay)
  }

  settle() {
    clearTimeout(this.settling)
    const { row, column, side } = this.window
    const state = { frame: this.frame, window: [row, column, side] }
    const asked = this.windowKey()
    const last = this.sent.at(-1) ?? this.confirmed
    if (state.frame === last && asked === this.asked) return
    this.asked = asked
    this.sent.push(state.frame)
    this.setState("view", state)
  }

  choose({ row, column }) {
    const { order } = this.frames
    this.chosen = [order[row], order[column]]
    this.draw()
    this.setTrigger("cell", this.chosen)
  }

  // Frames ------------------------------------------------------------------------------------

  showFrame(frame) {
    this.frame = frame
    this.slider.value = frame
    this.slider.setAttribute("aria-valuetext", this.frames.labels[frame])
    this.label.textContent = this.frames.labels[frame]
    this.draw()
  }

  setPlaying(playing) {
    clearInterval(this.timer)
    this.timer = null
    if (playing) {
      if (this.frame === this.count - 1) this.showFrame(0)
      this.timer = setInterval(() => this.playOn(), clamp(PLAY_MS / this.count, 80, 500))
    }
    this.play.classList.toggle("playing", playing)
    this.play.setAttribute("aria-label", playing ? "Pause" : "Play")
    this.play.title = playing ? "Pause" : "Play"
  }

  playOn() {
    if (this.frame < this.count - 1) this.showFrame(this.frame + 1)
    if (this.frame === this.count - 1) this.stop()
  }

  stop() {
    this.setPlaying(false)
    this.settle()
  }

  togglePlay() {
    if (this.timer) this.stop()
    else if (this.count > 1) this.setPlaying(true)
  }

  // Events ------------------------------------------------------------------------------------

  listen() {
    this.play.onclick = () => this.togglePlay()
    this.slider.oninput = () => {
      this.setPlaying(false)
      this.showFrame(Number(this.slider.value))
    }
    // A key that is held down changes the slider many times, a mouse once, when it lets go.
    this.slider.onkeydown = (event) => {
      this.keyed = true
      if (event.key === " ") {
        event.preventDefault()
        this.togglePlay()
      }
    }
    this.slider.onpointerdown = () => {
      this.keyed = false
    }
    this.slider.onchange = () => this.settleSoon(this.keyed ? SETTLE_MS : 0)
    this.root.onkeydown = (event) => this.stepFrame(event)
    this.canvas.onkeydown = (event) => this.canvasKey(event)
    this.canvas.onpointerdown = (event) => this.pressed(event)
    this.canvas.onpointermove = (event) => this.moved(event)
    this.canvas.onpointerup = (event) => this.released(event)
    this.canvas.onpointercancel = () => this.dropDrag()
    this.canvas.onpointerleave = () => {
      if (!this.drag) this.point(null)
    }
    this.canvas.ondblclick = () => {
      clearTimeout(this.clicking)
      this.zoomTo({ row: 0, column: 0, side: this.n })
    }
    this.canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false })
  }

  // Arrows beside the slider and the canvas, which have their own use for them.
  stepFrame(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
    if (!step || event.target === this.slider || event.target === this.canvas) return
    event.preventDefault()
    this.setPlaying(false)
    this.showFrame(clamp(this.frame + step, 0, this.count - 1))
    this.settleSoon(SETTLE_MS)
  }

  canvasKey(event) {
    const moves = {
      ArrowUp: [-1, 0],
      ArrowDown: [1, 0],
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
      PageUp: [-PAGE, 0],
      PageDown: [PAGE, 0],
      Home: [0, -this.n],
      End: [0, this.n],
    }
    const { row, column, side } = this.window
    const middle = { row: row + (side >> 1), column: column + (side >> 1) }
    const actions = {
      Enter: () => this.cross && this.choose(this.cross),
      " ": () => this.togglePlay(),
      "+": () => this.zoom(0.5, this.cross ?? middle),
      "-": () => this.zoom(2, this.cross ?? middle),
      Escape: () => this.zoomTo({ row: 0, column: 0, side: this.n }),
    }
    if (moves[event.key]) this.moveCross(...moves[event.key], middle)
    else if (actions[event.key]) actions[event.key]()
    else return
    event.preventDefault()
  }

  moveCross(down, right, middle) {
    const from = this.cross
    const cell = from
      ? {
          row: clamp(from.row + down, 0, this.n - 1),
          column: clamp(from.column + right, 0, this.n - 1),
          panel: from.panel,
        }
      : { ...middle, panel: 0 }
    this.follow(cell)
    this.point(cell)
    this.spoken.textContent = this.reading(cell).join(", ")
  }

  // Moves the window so that the cell is in it.
  follow({ row, column }) {
    const { side } = this.window
    const into = (start, at) => clamp(start, at - side + 1, at)
    const window = { row: into(this.window.row, row), column: into(this.window.column, column), side }
    if (window.row !== this.window.row || window.column !== this.window.column) this.zoomTo(window)
  }

  wheel(event) {
    // Without Ctrl the page scrolls on, as with a map in a page; a pinch comes with it.
    const cell = this.cellAt(event)
    if (!cell || !(event.ctrlKey || event.metaKey)) return
    event.preventDefault()
    this.zoom(event.deltaY < 0 ? 0.8 : 1.25, cell)
  }

  // Scales the window and keeps the cell where it is on the screen.
  zoom(factor, cell) {
    const old = this.window
    const scaled = factor < 1 ? Math.floor(old.side * factor) : Math.ceil(old.side * factor)
    const side = clamp(scaled, Math.min(MIN_SIDE, this.n), this.n)
    const start = (from, at) => Math.round(at - ((at - from) * side) / old.side)
    this.zoomTo({ row: start(old.row, cell.row), column: start(old.column, cell.column), side })
  }

  zoomTo({ row, column, side }) {
    const last = this.n - side
    this.window = { row: clamp(row, 0, last), column: clamp(column, 0, last), side }
    this.draw()
    if (this.n > this.frames.detailSide) this.settleSoon(SETTLE_MS)
  }

  pressed(event) {
    const cell = this.cellAt(event)
    if (!cell || event.button !== 0) return
    this.canvas.setPointerCapture(event.pointerId)
    this.drag = { from: cell, to: cell, x: event.offsetX, y: event.offsetY, wide: false }
  }

  moved(event) {
    if (this.drag) {
      const { x, y } = this.drag
      this.drag.wide ||= Math.hypot(event.offsetX - x, event.offsetY - y) > 5
      this.drag.to = this.cellAt(event, this.drag.from.panel)
    }
    this.point(this.drag?.wide ? null : this.cellAt(event))
  }

  released(event) {
    const { drag } = this
    this.dropDrag()
    if (!drag) return
    if (drag.wide) {
      const rows = Math.abs(drag.to.row - drag.from.row) + 1
      const columns = Math.abs(drag.to.column - drag.from.column) + 1
      this.zoomTo({
        row: Math.min(drag.from.row, drag.to.row),
        column: Math.min(drag.from.column, drag.to.column),
        side: clamp(Math.max(rows, columns), Math.min(MIN_SIDE, this.n), this.n),
      })
      return
    }
    // In a window a second click may follow and mean "show everything".
    clearTimeout(this.clicking)
    const zoomed = this.window.side < this.n
    if (event.detail > 1 && zoomed) return
    this.clicking = setTimeout(() => this.choose(drag.from), zoomed ? SETTLE_MS : 0)
  }

  dropDrag() {
    this.drag = null
    this.draw()
  }

  // The cell under the pointer, or the one nearest to it in the panel where a drag began.
  cellAt({ offsetX, offsetY }, within = null) {
    if (!this.plot) return null
    const { row, column, side } = this.window
    const { y, size, lefts } = this.plot
    const under = lefts.findIndex((left) => offsetX >= left && offsetX < left + size)
    const panel = within ?? under
    if (panel < 0) return null
    let across = Math.floor(((offsetX - lefts[panel]) / size) * side)
    let down = Math.floor(((offsetY - y) / size) * side)
    if (within !== null) [across, down] = [across, down].map((at) => clamp(at, 0, side - 1))
    if (down < 0 || down >= side) return null
    return { row: row + down, column: column + across, panel }
  }

  point(cell) {
    this.cross = cell
    this.draw()
  }

  // Values ------------------------------------------------------------------------------------

  // Rows of the tip: where the cell is, its value in each panel, and the samples behind its row.
  reading({ row, column }) {
    const { texts, scale, panels } = this.frames
    const values = panels.map((_, panel) => this.valueAt(row, column, panel))
    const { first, last } = values[0]
    const pooled = first.row < last.row || first.column < last.column
    const extreme = scale.kind === "diverging" ? "strongest " : "largest "
    const quantity = (pooled ? extreme : "") + texts.quantity
    const named = (panel) => (panels.length > 1 ? panels[panel].title : quantity)
    const samples = (panel) => this.samplesOf(first.row, last.row, panel)
    const [ofRow, ofColumn] = panels[0].symmetric
      ? [samples(0), this.samplesOf(first.column, last.column, 0)]
      : ["", ""]
    return [
      `${texts.row}: ${this.span(first.row, last.row)}${ofRow}`,
      `${texts.column}: ${this.span(first.column, last.column)}${ofColumn}`,
      ...(panels.length > 1 ? [`${quantity}:`] : []),
      ...values.map(({ text }, panel) => `${named(panel)}: ${text}${ofRow ? "" : samples(panel)}`),
    ]
  }

  // The names of neighbours, from one to another, and of their groups.
  span(first, last) {
    const { names } = this.frames
    const join = (from, to) => (from === to ? from : `${from} … ${to}`)
    const group = join(this.groupOf[first], this.groupOf[last])
    return join(names[first], names[last]) + (group ? ` (${group})` : "")
  }

  // The samples behind rows, where they are known; of several rows, of the one with fewest.
  samplesOf(first, last, panel) {
    const { texts, panels, strips } = this.frames
    if (!strips[panel]) return ""
    const fewest = this.fewestSamples(first, last, panel)
    const sign = (first < last ? "≥ " : "") + (this.isSettled() ? "" : "≈ ")
    if (fewest > 0) return ` (${sign}${formatNumber(fewest)} ${texts.count})`
    const { empty } = panels[panel]
    return ` (${first < last ? "some rows: " : ""}no ${texts.count}${empty && `, ${empty}`})`
  }

  fewestSamples(first, last, panel) {
    const { strips, side, most } = this.frames
    if (this.isSettled()) {
      const start = panel * this.n
      return Math.min(...this.detail.counts.subarray(start + first, start + last + 1))
    }
    const [from, to] = [first, last].map((row) => this.frame * side + cellOf(row, this.n, side))
    const code = Math.min(...strips[panel].subarray(from, to + 1))
    return code && Math.max(1, Math.round((code / TOP) * most))
  }

  // Whether Python has sent the exact values and counts of this frame.
  isSettled() {
    return this.detail.frame === this.frame && this.detail.token === this.frames.token
  }

  // The finest value known of a class pair, and the block of pairs that it stands for.
  valueAt(row, column, panel) {
    const { side, codes, scale } = this.frames
    const { detail } = this
    if (this.detailHolds(row, column)) {
      const within = { row: row - detail.row, column: column - detail.column }
      const block = blockOf(within, detail.side, detail.cells)
      const value = detail.panels[panel][block.y * detail.cells + block.x]
      return {
        first: { row: block.first.row + detail.row, column: block.first.column + detail.column },
        last: { row: block.last.row + detail.row, column: block.last.column + detail.column },
        text: Number.isNaN(value) ? "—" : formatNumber(value),
      }
    }
    const block = blockOf({ row, column }, this.n, side)
    const code = codes[panel][this.frame * side * side + block.y * side + block.x]
    return { first: block.first, last: block.last, text: formatCode(code, scale) }
  }

  detailHolds(row, column) {
    const { detail } = this
    return (
      this.detailIsFiner() &&
      row >= detail.row &&
      column >= detail.column &&
      row < detail.row + detail.side &&
      column < detail.column + detail.side
    )
  }

  detailIsFiner() {
    const { side, cells } = this.detail
    return this.isSettled() && side / cells <= this.n / this.frames.side
  }

  // Drawing -----------------------------------------------------------------------------------

  draw() {
    if (!this.frames || this.pending) return
    this.pending = requestAnimationFrame(() => {
      this.pending = null
      this.layOut()
      this.frames.panels.forEach((_, panel) => this.drawPanel(panel))
      this.drawRowLabels()
      this.drawTree()
      this.drawBar()
      this.placeTip()
    })
  }

  drawPanel(panel) {
    this.left = this.plot.lefts[panel]
    this.drawCells(panel)
    this.drawGroups()
    this.drawStrip(panel)
    this.drawColumnLabels()
    this.drawTitle(panel)
    this.drawMarks()
  }

  // Room for the axes' labels: the longest that may ever show, so that zooming moves nothing.
  measure() {
    const { names, groups, groupTicks } = this.frames
    this.context.font = this.theme.font
    const texts = groupTicks ? [...names, ...groups.map(([name]) => name)] : names
    const widths = texts.map((text) => this.context.measureText(text).width)
    this.labelRoom = Math.min(Math.max(...widths), MAX_LABEL)
  }

  layOut() {
    const width = this.root.clientWidth
    const { panels, merges } = this.frames
    const strip = panels.some(({ counted }) => counted) ? STRIP.gap + STRIP.width : 0
    const left = Math.round(LINE + 18 + this.labelRoom + strip)
    const apart = PANEL_GAP + strip
    const tree = merges ? TREE.gap + TREE.width : 0
    const free = width - left - tree - BAR.gap - BAR.width - BAR.room
    const each = (free - apart * (panels.length - 1)) / panels.length
    const size = Math.round(clamp(each, 120, MAX_PLOT))
    const y = panels.length > 1 ? PAD_TOP + PANEL_TITLE : PAD_TOP
    this.plot = { y, size, lefts: panels.map((_, panel) => left + panel * (size + apart)) }
    this.right = this.plot.lefts.at(-1) + size
    this.step = size / this.window.side // pixels a class
    this.ticks = this.findTicks("row")
    this.columnTicks = this.findTicks("column")
    // Level names at full view are level at any zoom; else the room for upright ones stays.
    this.columnRoom = size / this.n - 6 >= this.labelRoom ? LINE : this.labelRoom
    const height = y + size + this.columnRoom + LINE + 16
    this.ratio = window.devicePixelRatio || 1
    const [w, h] = [width, height].map((pixels) => Math.round(pixels * this.ratio))
    if (this.canvas.width !== w || this.canvas.height !== h) {
      this.canvas.width = w
      this.canvas.height = h
      this.canvas.style.height = `${height}px`
    }
    this.context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0)
    this.context.clearRect(0, 0, width, height)
    this.context.font = this.theme.font
    this.context.imageSmoothingEnabled = false
  }

  clipToPlot() {
    const { y, size } = this.plot
    this.context.save()
    this.context.beginPath()
    this.context.rect(this.left, y, size, size)
    this.context.clip()
  }

  xOf(column) {
    return this.left + (column - this.window.column) * this.step
  }

  yOf(row) {
    return this.plot.y + (row - this.window.row) * this.step
  }

  drawCells(panel) {
    const { frames, frame, n } = this
    this.clipToPlot()
    const area = frames.side ** 2
    const codes = frames.codes[panel].subarray(frame * area, (frame + 1) * area)
    this.drawCodes(this.pictures[panel], codes, { row: 0, column: 0, side: n, cells: frames.side })
    const { detail } = this
    if (this.detailIsFiner() && detail.side / detail.cells < n / frames.side) {
      this.detailCodes ??= detail.panels.map((values) =>
        Uint8Array.from(values, (value) =>
          Number.isNaN(value) ? BLANK : Math.round(position(value, frames.scale) * TOP),
        ),
      )
      this.context.clearRect(
        this.xOf(detail.column),
        this.yOf(detail.row),
        detail.side * this.step,
        detail.side * this.step,
      )
      this.drawCodes(this.detailPictures[panel], this.detailCodes[panel], detail)
    }
    this.context.restore()
  }

  // Draws what the window shows of codes that cover `side` classes from (row, column) on.
  drawCodes(picture, codes, { row, column, side, cells }) {
    const { frames, window } = this
    const perClass = cells / side
    const within = (start, from) => {
      const first = clamp(Math.floor((start - from) * perClass), 0, cells)
      const last = clamp(Math.ceil((start + window.side - from) * perClass), 0, cells)
      return [first, last]
    }
    const [firstRow, lastRow] = within(window.row, row)
    const [firstColumn, lastColumn] = within(window.column, column)
    // One square for both axes keeps the picture simple; what juts out is clipped.
    const shown = Math.max(lastRow - firstRow, lastColumn - firstColumn)
    if (shown === 0) return
    const part = {
      row: Math.min(firstRow, cells - shown),
      column: Math.min(firstColumn, cells - shown),
      cells: shown,
    }
    const size = (shown / perClass) * this.step
    const covered = picture.paint(
      codes,
      cells,
      part,
      Math.round(size * this.ratio),
      frames.palette,
      this.strength,
    )
    const x = this.xOf(column + part.column / perClass)
    const y = this.yOf(row + part.row / perClass)
    this.context.drawImage(picture.canvas, 0, 0, covered, covered, x, y, size, size)
  }

  drawGroups() {
    const { context, plot } = this
    const { groups } = this.frames
    this.clipToPlot()
    // Between large cells a thin line would pass for one of their edges.
    const width = this.step < WIDE ? 1 : 3
    context.fillStyle = width === 1 ? GREY : this.theme.background
    context.globalAlpha = width === 1 ? 0.6 : 1
    let edge = 0
    groups.slice(1).forEach(([, size], i) => {
      const before = groups[i][1]
      edge += before
      if (Math.min(before, size) * this.step < MIN_GROUP) return
      context.fillRect(Math.round(this.xOf(edge)) - width / 2, plot.y, width, plot.size)
      context.fillRect(this.left, Math.round(this.yOf(edge)) - width / 2, plot.size, width)
    })
    context.restore()
    context.strokeStyle = GREY
    context.lineWidth = 1
    context.strokeRect(this.left - 0.5, plot.y - 0.5, plot.size + 1, plot.size + 1)
  }

  // A bar beside the rows, the darker the more samples are behind them. Where several rows share
  // a pixel the one with fewest is shown: a row without any must not be lost.
  drawStrip(panel) {
    const { strips, most } = this.frames
    if (!strips[panel]) return
    const { context, plot, theme, window } = this
    const x = this.left - STRIP.gap - STRIP.width
    const parts = Math.min(window.side, Math.round(plot.size * this.ratio))
    for (let part = 0; part < parts; part++) {
      const first = window.row + Math.floor((part * window.side) / parts)
      const last = window.row + Math.floor(((part + 1) * window.side) / parts) - 1
      const fewest = this.fewestSamples(first, last, panel)
      const top = plot.y + (part * plot.size) / parts
      context.fillStyle = fewest ? theme.text : NO_SAMPLE
      context.globalAlpha = fewest ? 0.06 + (0.8 * fewest) / most : 1
      context.fillRect(x, top, STRIP.width, plot.size / parts)
    }
    context.globalAlpha = 1
  }

  // The hierarchy of the classes: leaves at the rows, height (0 to 1) to the right, and its cut.
  drawTree() {
    const { context, plot, theme, frames } = this
    if (!frames.merges) return
    const x0 = this.right + TREE.gap
    const { tree, cut: level } = frames
    const xOf = (height) => x0 + height * (TREE.width - 2)
    context.save()
    context.beginPath()
    context.rect(x0, plot.y, TREE.width, plot.size)
    context.clip()
    context.strokeStyle = theme.text
    context.lineWidth = 1
    context.globalAlpha = 0.75
    context.beginPath()
    for (let i = 0; i < tree.length; i += 5) {
      const [first, second] = [this.yOf(tree[i]), this.yOf(tree[i + 1])]
      const height = xOf(tree[i + 4])
      context.moveTo(xOf(tree[i + 2]), first)
      context.lineTo(height, first)
      context.lineTo(height, second)
      context.lineTo(xOf(tree[i + 3]), second)
    }
    context.stroke()
    if (level !== null) {
      context.setLineDash([4, 3])
      context.strokeStyle = NO_SAMPLE
      context.globalAlpha = 1
      context.lineWidth = 2
      const x = Math.round(xOf(level))
      context.beginPath()
      context.moveTo(x, plot.y)
      context.lineTo(x, plot.y + plot.size)
      context.stroke()
    }
    context.restore()
  }

  // Names of the classes where they fit, else of the groups, else of every so many classes.
  findTicks(axis) {
    const { names, groups, groupTicks } = this.frames
    const start = this.window[axis]
    const end = start + this.window.side
    const named = groupTicks && groups.some(([name]) => name)
    if (this.step < LINE && named) return this.groupTicks(groups, start, end)
    const every = Math.ceil(LINE / this.step)
    const ticks = []
    for (let at = Math.ceil(start / every) * every; at < end; at += every) {
      ticks.push({ at: at + 0.5 - start, room: every * this.step, text: names[at] })
    }
    return ticks
  }

  groupTicks(groups, start, end) {
    const ticks = []
    let edge = 0
    let free = -Infinity
    for (const [text, size] of groups) {
      const [low, high] = [Math.max(edge, start), Math.min(edge + size, end)]
      const at = (low + high) / 2 - start
      // A group too narrow for its name shows it only where its neighbours leave room.
      if (high > low && at * this.step - LINE / 2 >= free) {
        ticks.push({ at, room: (high - low) * this.step, text })
        free = at * this.step + LINE / 2
      }
      edge += size
    }
    return ticks
  }

  drawRowLabels() {
    const { context, plot, theme, ticks } = this
    const { texts, strips } = this.frames
    const strip = strips.some((codes) => codes) ? STRIP.gap + STRIP.width : 0
    const right = plot.lefts[0] - strip - 7
    context.fillStyle = theme.text
    context.textBaseline = "middle"
    context.textAlign = "right"
    for (const { at, text } of ticks) {
      context.fillText(shorten(context, text, this.labelRoom), right, plot.y + at * this.step)
    }
    context.font = theme.font.replace(`${FONT}px`, "12px")
    this.writeAlong(texts.row, LINE / 2 + 1, plot.y + plot.size / 2, -Math.PI / 2, "center")
    context.font = theme.font
  }

  drawColumnLabels() {
    const { context, plot, theme, left, columnTicks } = this
    const level = columnTicks.every(
      ({ text, room }) => context.measureText(text).width <= room - 6,
    )
    context.fillStyle = theme.text
    context.textBaseline = "middle"
    context.textAlign = "center"
    for (const { at, text } of columnTicks) {
      const x = left + at * this.step
      const y = plot.y + plot.size + 7
      if (level) context.fillText(text, x, y + LINE / 2)
      else this.writeAlong(shorten(context, text, this.labelRoom), x, y, -Math.PI / 2, "right")
    }
    context.font = theme.font.replace(`${FONT}px`, "12px")
    context.textAlign = "center"
    const below = plot.y + plot.size + this.columnRoom + LINE + 6
    context.fillText(this.frames.texts.column, left + plot.size / 2, below)
    context.font = theme.font
  }

  // One panel has its title above the controls.
  drawTitle(panel) {
    const { context, plot, theme, frames } = this
    if (frames.panels.length < 2) return
    context.font = `600 ${theme.font.replace(`${FONT}px`, "13px")}`
    context.textAlign = "left"
    context.textBaseline = "middle"
    context.fillStyle = theme.text
    const title = shorten(context, frames.panels[panel].title, plot.size)
    context.fillText(title, this.left, PAD_TOP + PANEL_TITLE / 2 - 2)
    context.font = theme.font
  }

  writeAlong(text, x, y, angle, align) {
    const { context } = this
    context.save()
    context.translate(x, y)
    context.rotate(angle)
    context.textAlign = align
    context.fillText(text, 0, 0)
    context.restore()
  }

  drawBar() {
    const { context, plot, theme } = this
    const { scale, palette, texts } = this.frames
    const tree = this.frames.merges ? TREE.gap + TREE.width : 0
    const x = this.right + tree + BAR.gap
    this.barImage ??= new Picture()
    const bar = this.barImage
    bar.canvas.width = 1
    bar.canvas.height = TOP + 1
    const image = bar.context.createImageData(1, TOP + 1)
    new Uint32Array(image.data.buffer).set(palette.subarray(0, TOP + 1).slice().reverse())
    bar.context.putImageData(image, 0, 0)
    context.drawImage(bar.canvas, x, plot.y, BAR.width, plot.size)
    context.strokeStyle = GREY
    context.strokeRect(x - 0.5, plot.y - 0.5, BAR.width + 1, plot.size + 1)
    context.fillStyle = theme.text
    context.textAlign = "left"
    context.textBaseline = "middle"
    let widest = 0
    for (const tick of scaleTicks(scale, plot.size)) {
      const y = plot.y + plot.size * (1 - position(tick, scale))
      const text = formatNumber(tick)
      context.fillRect(x + BAR.width + 1, Math.round(y) - 0.5, 4, 1)
      context.fillText(text, x + BAR.width + 9, y)
      widest = Math.max(widest, context.measureText(text).width)
    }
    context.font = theme.font.replace(`${FONT}px`, "12px")
    const beside = x + BAR.width + 9 + widest + LINE
    this.writeAlong(texts.quantity, beside, plot.y + plot.size / 2, -Math.PI / 2, "center")
    context.font = theme.font
  }

  drawMarks() {
    const { context, plot, theme, frames } = this
    this.clipToPlot()
    if (this.cross) {
      const { row, column } = this.cross
      this.drawCross(row, column, theme.background, 3, 0.4)
      this.drawCross(row, column, theme.text, 1, 0.7)
      this.outline(row, column, 0, theme.background, theme.text)
    }
    if (this.chosen) {
      const [row, column] = this.chosen.map((index) => frames.order.indexOf(index))
      this.outline(row, column, 1, "#000", "#fff")
    }
    if (this.drag?.wide && this.left === plot.lefts[this.drag.from.panel]) {
      const { from, to } = this.drag
      const [top, bottom] = [Math.min(from.row, to.row), Math.max(from.row, to.row) + 1]
      const [left, right] = [
        Math.min(from.column, to.column),
        Math.max(from.column, to.column) + 1,
      ]
      context.strokeStyle = theme.primary
      context.lineWidth = 2
      const [x, y] = [this.xOf(left), this.yOf(top)]
      context.strokeRect(x, y, this.xOf(right) - x, this.yOf(bottom) - y)
    }
    context.restore()
  }

  drawCross(row, column, color, width, opacity) {
    const { context, plot } = this
    const [x, y] = [this.xOf(column + 0.5), this.yOf(row + 0.5)].map(Math.round)
    context.fillStyle = color
    context.globalAlpha = opacity
    context.fillRect(this.left, y - width / 2, plot.size, width)
    context.fillRect(x - width / 2, plot.y, width, plot.size)
    context.globalAlpha = 1
  }

  // A frame in two colours, to be seen on any cell; never smaller than the eye finds.
  outline(row, column, margin, outer, inner) {
    const { context } = this
    const size = Math.max(this.step, 7) + 2 * (margin + 1)
    const x = this.xOf(column + 0.5) - size / 2
    const y = this.yOf(row + 0.5) - size / 2
    for (const [width, color] of [
      [4 + margin, outer],
      [2, inner],
    ]) {
      context.lineWidth = width
      context.strokeStyle = color
      context.strokeRect(x, y, size, size)
    }
  }

  placeTip() {
    const { tip, cross } = this
    tip.hidden = !cross
    if (!cross) return
    tip.replaceChildren(
      ...this.reading(cross).map((line) => {
        const row = document.createElement("div")
        row.textContent = line
        return row
      }),
    )
    this.left = this.plot.lefts[cross.panel]
    const x = this.xOf(cross.column + 0.5)
    const y = this.yOf(cross.row + 0.5)
    const right = x + 16 + tip.offsetWidth > this.root.clientWidth
    const low = y + 16 + tip.offsetHeight > this.plot.y + this.plot.size
    const left = right ? x - 16 - tip.offsetWidth : x + 16
    const top = low ? y - 16 - tip.offsetHeight : y + 16
    tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`
  }
}

// The cell of `cells` a side that holds a class of a matrix with `n` classes a side. Cell i covers
// the classes from floor(i * n / cells) on.
function cellOf(at, n, cells) {
  return Math.ceil(((at + 1) * cells) / n) - 1
}

// The cell that holds a class pair, and the pairs that share it.
function blockOf({ row, column }, n, cells) {
  const start = (cell) => Math.floor((cell * n) / cells)
  const [y, x] = [row, column].map((at) => cellOf(at, n, cells))
  return {
    y,
    x,
    first: { row: start(y), column: start(x) },
    last: { row: start(y + 1) - 1, column: start(x + 1) - 1 },
  }
}

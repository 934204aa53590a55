// The scatter viewer: its parts as they arrive, its tools, its frames, and what is selected.
//
// Streamlit mounts this module once for each part, and all mounts share its variables. A view names
// the parts it belongs to and is shown when they are there, in whatever order they come.

const DIMMED = 255
const UNKNOWN = 255 // a confidence that is not a number
const GLIDE_MS = 250 // from wherever the slider is let go to the nearest frame
const PLAY_MS = 10000 // all frames, unless each would be too quick or too slow
const NARROWEST = 300 // panel, in CSS pixels
const PANEL_GAP = 14
const HEIGHT = { share: 0.9, least: 240, most: 560, mostOfTwoRows: 420 }
const NUMBER = new Intl.NumberFormat("en")
const TYPES = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array }

const parts = new Map() // part and channel -> its header, body and owner
const viewers = new Map() // channel -> Viewer

export default function (component) {
  const { header, body } = unpack(component.data)
  return header.part === "view"
    ? receiveView(component, header, body)
    : receivePart(component.parentElement, header, body)
}

function receivePart(owner, header, body) {
  const name = `${header.part} ${header.channel}`
  if (parts.get(name)?.token !== header.token) parts.set(name, { ...header, body, arrays: {} })
  parts.get(name).owner = owner
  viewers.get(header.channel)?.adoptParts()
  return () => {
    if (parts.get(name)?.owner === owner) parts.delete(name)
  }
}

function receiveView({ parentElement, setStateValue, setTriggerValue }, header, body) {
  const { channel } = header
  let viewer = viewers.get(channel)
  if (viewer?.parent !== parentElement) {
    viewer?.destroy()
    viewer = new Viewer(parentElement, channel)
    viewers.set(channel, viewer)
  }
  viewer.setState = setStateValue
  viewer.setTrigger = setTriggerValue
  viewer.viewArrived(header, body)
  return () => {
    viewer.destroy()
    if (viewers.get(channel) === viewer) viewers.delete(channel)
  }
}

// An array of a part; the same one if it is asked for again.
function read(part, place) {
  if (!place) return null
  const [type, start, length] = place
  const bytes = length * TYPES[type].BYTES_PER_ELEMENT
  // Sliced: the message's bytes need not start where larger numbers may.
  part.arrays[place] ??= new TYPES[type](part.body.slice(start, start + bytes).buffer)
  return part.arrays[place]
}

function unpackBits(bytes, n) {
  return Uint8Array.from({ length: n }, (_, i) => (bytes[i >> 3] >> (i & 7)) & 1)
}

function element(name, text, ...children) {
  const made = document.createElement(name)
  made.textContent = text
  made.append(...children)
  return made
}

class Viewer {
  constructor(parent, channel) {
    const find = (selector) => parent.querySelector(selector)
    Object.assign(this, { parent, channel })
    this.root = find(".viewer")
    this.toolbar = find(".toolbar")
    this.counter = find(".count")
    this.controls = find(".controls")
    this.play = find(".play")
    this.slider = find(".slider")
    this.label = find(".label")
    this.panels = find(".panels")
    this.tip = find(".tip")
    this.legend = find(".legend")
    this.hint = find(".hint")
    this.spoken = find(".spoken")
    this.thumbnail = document.createElement("canvas")
    this.plots = []
    this.gestures = []
    this.selected = null // one a point
    this.stamp = 0 // number of the last selection
    this.pointed = null // { point, plot } under the pointer
    this.position = 0 // a frame, or somewhere between two
    this.still = matchMedia("(prefers-reduced-motion: reduce)")
    this.useTool("lasso")
    this.listen()
    this.observer = new ResizeObserver(() => this.root.clientWidth !== this.width && this.draw())
    this.observer.observe(this.root)
  }

  destroy() {
    this.observer.disconnect()
    this.gestures.forEach((gestures) => gestures.destroy())
    cancelAnimationFrame(this.pending)
    cancelAnimationFrame(this.moving)
    this.atlas?.picture?.close()
  }

  // What comes from Python --------------------------------------------------------------------

  viewArrived(header, body) {
    this.tokens = header.tokens
    this.answer = { ...header, body }
    this.theme = pageTheme(this.root)
    this.adoptParts()
  }

  adoptParts() {
    const find = (name) => {
      const part = parts.get(`${name} ${this.channel}`)
      return part && part.token === this.tokens?.[name] ? part : null
    }
    const [points, paint] = [find("points"), find("paint")]
    if (!points || !paint) return
    const moved = points !== this.points
    if (moved) this.adoptPoints(points)
    if (moved || paint !== this.paint) this.adoptPaint(paint)
    this.adoptAtlas(find("atlas"))
    this.adoptAnswer()
    this.readLook()
    this.sort()
    this.report()
    this.draw()
  }

  adoptPoints(points) {
    this.points = points
    this.n = points.n
    this.labels = read(points, points.labels)
    this.places = points.tiles && read(points, points.tiles.places)
    this.gestures.forEach((gestures) => gestures.destroy())
    this.plots = points.panels.map((panel, index) => {
      const frames = panel.frames.map((frame) => ({
        label: frame.label,
        points: read(points, frame.points),
        predicted: read(points, frame.predicted),
        confidence: read(points, frame.confidence),
      }))
      return new Plot(index, { ...panel, frames }, points.n)
    })
    this.gestures = this.plots.map((plot) => new Gestures(plot, this))
    this.panels.replaceChildren(...this.plots.map((plot) => plot.root))
    this.selected = this.pointed = null
    this.describe()
    this.stop()
    this.showPosition(this.count - 1)
  }

  adoptPaint(paint) {
    this.paint = paint
    this.frames = paint.panels.map((panel) => ({
      frames: panel.frames.map(({ colors, marks }) => ({ colors: read(paint, colors), marks })),
    }))
    this.plots.forEach((plot, i) => {
      plot.footer.textContent = paint.panels[i].footer
    })
    this.describeLegend()
  }

  adoptAtlas(part) {
    if (part === (this.atlas?.part ?? null)) return
    this.atlas?.picture?.close()
    const atlas = { part }
    this.atlas = part && atlas
    if (!part) return
    createImageBitmap(new Blob([part.body], { type: part.mime })).then(
      (picture) => {
        if (this.atlas === atlas) atlas.picture = picture
        else picture.close()
      },
      () => console.warn("The pictures of the points could not be read."),
    )
  }

  // An answer to an earlier selection is too late; one without samples leaves what was found here.
  adoptAnswer() {
    const { stamp, masked, active, body } = this.answer
    if (stamp < this.stamp) return
    this.stamp = stamp
    if (masked) this.selected = unpackBits(body, this.n)
    else if (!active) this.selected = null
  }

  readLook() {
    const { theme, paint } = this
    const palette = paint.palette.slice(0, DIMMED)
    const colors = palette.map(([color]) => color)
    const [grey, background, ...inked] = toPixels([GREY, theme.background, ...colors])
    const pixels = new Uint32Array(256).fill(grey)
    pixels.set(inked)
    const symbols = new Uint8Array(256)
    symbols.set(palette.map(([, symbol]) => SYMBOLS.indexOf(symbol)))
    this.look = {
      ...theme,
      colors,
      symbols,
      axisNames: this.points.axisNames,
      zeros: new Uint8Array(this.n),
      pixels: { colors: pixels, background, back: Uint32Array.of(grey) },
    }
  }

  // What is written around the panels ---------------------------------------------------------

  describe() {
    const { points, plots } = this
    const solid = plots[0].solid
    this.count = Math.max(...points.panels.map((panel) => panel.frames.length))
    // Panels of one frame stay as they are, whatever the slider says.
    this.named = points.panels.find((panel) => panel.frames.length === this.count)
    this.controls.hidden = this.count < 2
    this.slider.max = this.count - 1
    this.toolbar.querySelector("[value=move]").textContent = solid ? "Rotate" : "Pan"
    this.hint.textContent =
      "Draw around points to select them; click beside them to clear. " +
      "Scroll with Ctrl, or pinch, to zoom; double-click to reset."
    const arrows = solid ? "turn" : "move"
    for (const { overlay, spec } of plots) {
      overlay.setAttribute(
        "aria-label",
        `${spec.title}: map of ${NUMBER.format(this.n)} points. Arrow keys ${arrows} it, ` +
          "plus and minus zoom, 0 shows everything, Escape clears the selection" +
          (this.count > 1 ? ", space plays." : "."),
      )
    }
  }

  describeLegend() {
    const { legend, palette } = this.paint
    const title = element("span", legend.title)
    title.className = "legend-title"
    const entries = legend.low === null ? this.groupEntries() : [this.colorBar(legend, palette)]
    const dimmed = this.frames.some(({ frames }) =>
      frames.some(({ colors }) => colors.includes(DIMMED)),
    )
    if (dimmed) entries.push(this.groupEntry("others", GREY, "circle"))
    this.legend.replaceChildren(title, ...entries)
  }

  groupEntries() {
    const { legend, palette } = this.paint
    return legend.names.map((name, i) => this.groupEntry(name, ...palette[i]))
  }

  groupEntry(name, color, symbol) {
    const sign = element("i", "")
    Object.assign(sign.style, { background: color, clipPath: clipPath(symbol) })
    const entry = element("span", "", sign, name)
    entry.className = "entry"
    return entry
  }

  colorBar({ low, high }, palette) {
    const bar = element("i", "")
    bar.className = "bar"
    bar.style.background = `linear-gradient(to right, ${palette.map(([color]) => color)})`
    const entry = element("span", "", formatNumber(low), bar, formatNumber(high))
    entry.className = "entry"
    return entry
  }

  // Selecting -------------------------------------------------------------------------------

  select(plot, path) {
    const polygon = simplify(path).map((corner) =>
      plot.toPlane(corner).map((value) => Number(value.toPrecision(7))),
    )
    // Python reads the corners as 32-bit numbers too.
    const found = plot.inside(polygon.map((corner) => corner.map(Math.fround)))
    if (!found.includes(1)) return this.clear()
    this.selected = found
    this.send({
      layout: this.points.layout,
      panel: plot.index,
      frame: plot.shownFrame,
      polygon,
      rotation: plot.solid ? plot.rotation : null,
    })
  }

  clear() {
    if (!this.selected) return
    this.selected = null
    this.send({})
  }

  send(selection) {
    this.stamp++
    this.sort()
    this.report()
    this.draw()
    this.setState("selection", { stamp: this.stamp, ...selection })
  }

  pick(point) {
    this.setTrigger("picked", point)
  }

  sort() {
    this.plots.forEach((plot, i) => plot.sort(this.frames[i], this.selected))
  }

  report() {
    const count = this.selected?.reduce((sum, one) => sum + one, 0)
    const text = this.selected
      ? `${NUMBER.format(count)} of ${NUMBER.format(this.n)} selected`
      : `${NUMBER.format(this.n)} points`
    this.counter.textContent = text
    this.toolbar.querySelector("[value=clear]").disabled = !this.selected
    if (this.spoken.textContent !== text) this.spoken.textContent = text
  }

  // Frames ------------------------------------------------------------------------------------

  showPosition(position) {
    this.position = clamp(position, 0, this.count - 1)
    const frame = Math.round(this.position)
    this.slider.value = this.position
    this.slider.setAttribute("aria-valuetext", this.named.frames[frame].label)
    this.label.textContent = this.named.frames[frame].label
    for (const plot of this.plots) plot.position = this.position
    this.draw()
  }

  // Moves to a frame within some time; in equal steps of time if it plays.
  glide(to, duration, easing = (share) => share * (2 - share)) {
    cancelAnimationFrame(this.moving)
    const [from, start] = [this.position, performance.now()]
    const step = (now) => {
      const share = clamp((now - start) / duration, 0, 1)
      const position = share < 1 ? from + (to - from) * easing(share) : to
      this.showPosition(this.still.matches ? Math.round(position) : position)
      if (share < 1) this.moving = requestAnimationFrame(step)
      else this.stop()
    }
    this.goal = to
    this.moving = requestAnimationFrame(step)
  }

  // Goes to the frame of a number, from wherever the points are.
  goTo(frame) {
    this.setPlaying(false)
    this.glide(clamp(frame, 0, this.count - 1), GLIDE_MS)
  }

  togglePlay() {
    if (this.count < 2) return
    if (this.playing) return this.goTo(Math.round(this.position))
    if (this.position === this.count - 1) this.showPosition(0)
    const each = clamp(PLAY_MS / this.count, 250, 1200)
    this.glide(this.count - 1, (this.count - 1 - this.position) * each, (share) => share)
    this.setPlaying(true)
  }

  setPlaying(playing) {
    this.playing = playing
    this.play.classList.toggle("playing", playing)
    this.play.title = playing ? "Pause" : "Play"
    this.play.setAttribute("aria-label", this.play.title)
  }

  stop() {
    cancelAnimationFrame(this.moving)
    this.goal = null
    this.setPlaying(false)
  }

  // At once, wherever the points are on their way.
  settle() {
    this.stop()
    if (this.position % 1) this.showPosition(Math.round(this.position))
  }

  // Events ------------------------------------------------------------------------------------

  listen() {
    this.toolbar.onclick = ({ target }) => {
      const { value } = target.closest("button") ?? {}
      if (value === "reset") this.resetViews()
      else if (value === "clear") this.clear()
      else if (value) this.useTool(value)
    }
    this.play.onclick = () => this.togglePlay()
    this.slider.oninput = () => {
      this.stop()
      this.showPosition(Number(this.slider.value))
    }
    this.slider.onchange = () => this.goTo(Math.round(this.position))
    this.slider.onkeydown = (event) => this.sliderKey(event)
  }

  sliderKey(event) {
    const frame = Math.round(this.goal ?? this.position)
    const targets = {
      ArrowLeft: frame - 1,
      ArrowDown: frame - 1,
      ArrowRight: frame + 1,
      ArrowUp: frame + 1,
      Home: 0,
      End: this.count - 1,
    }
    if (event.key === " ") this.togglePlay()
    else if (event.key in targets) this.goTo(targets[event.key])
    else return
    event.preventDefault()
  }

  useTool(tool) {
    this.tool = tool
    this.root.dataset.tool = tool
    for (const button of this.toolbar.querySelectorAll(".tools button")) {
      button.setAttribute("aria-pressed", button.value === tool)
    }
  }

  resetViews() {
    this.plots.forEach((plot) => plot.resetView())
    this.draw()
  }

  // Marks a point in all panels, and says in a tip what it is.
  pointAt(point, plot = null) {
    if (point === (this.pointed?.point ?? null)) return
    this.pointed = point === null ? null : { point, plot }
    this.drawOverlays()
  }

  // Drawing -----------------------------------------------------------------------------------

  draw() {
    this.stale = true
    this.drawOverlays()
  }

  drawOverlays() {
    if (!this.look || this.pending) return
    this.pending = requestAnimationFrame(() => {
      this.pending = null
      if (this.stale) this.drawPlots()
      this.stale = false
      for (const plot of this.plots) plot.drawOverlay(this.look, this.pointed?.point ?? null)
      this.placeTip()
    })
  }

  drawPlots() {
    const width = (this.width = this.root.clientWidth)
    if (!width) return
    const count = this.plots.length
    const most = count === 4 ? 2 : 3
    const columns = clamp(Math.floor(width / NARROWEST), 1, Math.min(most, count))
    const each = Math.floor((width - PANEL_GAP * (columns - 1)) / columns) - 2 // of the border
    const highest = columns < count ? HEIGHT.mostOfTwoRows : HEIGHT.most
    const height = Math.round(clamp(each * HEIGHT.share, HEIGHT.least, highest))
    this.panels.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`
    this.plots.forEach((plot, i) => {
      plot.resize(each, height, window.devicePixelRatio || 1)
      if (plot.sorted !== plot.shownFrame) plot.sort(this.frames[i], this.selected)
      plot.draw(this.look)
    })
  }

  // The tip -----------------------------------------------------------------------------------

  placeTip() {
    const { tip, pointed } = this
    tip.hidden = !pointed
    if (!pointed) return
    const { point, plot } = pointed
    const lines = this.reading(point, plot).map((line) => element("div", line))
    tip.replaceChildren(...this.picture(point), element("div", "", ...lines))
    const frame = plot.overlay.getBoundingClientRect()
    const stage = tip.parentElement.getBoundingClientRect()
    const [x, y] = plot.screenPlace(point)
    const [left, top] = [frame.left - stage.left + x, frame.top - stage.top + y]
    const right = left + 16 + tip.offsetWidth > stage.width
    const low = y + 16 + tip.offsetHeight > frame.height
    const across = right ? left - 16 - tip.offsetWidth : left + 16
    const down = low ? top - 16 - tip.offsetHeight : top + 16
    tip.style.transform = `translate(${Math.round(Math.max(across, 0))}px, ${Math.round(down)}px)`
  }

  reading(point, plot) {
    const { classNames } = this.points
    const told = this.plots.map((other) => {
      const { predicted, confidence } = other.spec.frames[other.shownFrame]
      if (!predicted) return null
      const known = confidence && confidence[point] !== UNKNOWN
      const percent = known ? ` ${confidence[point]} %` : ""
      const text = `predicted${percent}: ${classNames[predicted[point]]}`
      return this.plots.length > 1 ? `${other.spec.title}: ${text}` : text
    })
    return [`true: ${classNames[this.labels[point]]}`, ...told.filter(Boolean)]
  }

  // The point's thumbnail, twice as large and not smoothed.
  picture(point) {
    const place = this.places?.[point]
    if (!place || !this.atlas?.picture) return []
    const { side, columns } = this.points.tiles
    const [column, row] = [(place - 1) % columns, Math.floor((place - 1) / columns)]
    Object.assign(this.thumbnail, { width: side, height: side })
    Object.assign(this.thumbnail.style, { width: `${2 * side}px`, height: `${2 * side}px` })
    const context = this.thumbnail.getContext("2d")
    const tile = [column * side, row * side, side, side]
    context.drawImage(this.atlas.picture, ...tile, 0, 0, side, side)
    return [this.thumbnail]
  }
}

function formatNumber(value) {
  return String(Number(value.toPrecision(3))).replace("-", "−")
}

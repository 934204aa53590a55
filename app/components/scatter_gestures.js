// What pointers and keys do to a panel.

const CLICK = 4 // pixels that a click may wander
const SPACING = 2 // between corners of a lasso
const PAUSE_MS = 300 // a click that no second one has followed for so long is a single one

class Gestures {
  constructor(plot, viewer) {
    Object.assign(this, { plot, viewer })
    this.pointers = new Map() // those that are down, with their places
    this.drag = null // { from, last, far, tool }
    const { overlay } = plot
    overlay.onpointerdown = (event) => this.pressed(event)
    overlay.onpointermove = (event) => this.moved(event)
    overlay.onpointerup = (event) => this.released(event)
    overlay.onpointercancel = () => {
      this.pointers.clear()
      this.drop()
    }
    overlay.onpointerleave = () => this.drag || viewer.pointAt(null)
    overlay.ondblclick = () => {
      clearTimeout(this.clicking)
      plot.resetView()
      viewer.draw()
    }
    overlay.onkeydown = (event) => this.key(event)
    overlay.addEventListener("wheel", (event) => this.wheel(event), { passive: false })
  }

  pressed(event) {
    if (event.button !== 0) return
    const at = [event.offsetX, event.offsetY]
    this.plot.overlay.setPointerCapture(event.pointerId)
    this.pointers.set(event.pointerId, at)
    this.viewer.settle() // points that are on their way cannot be selected
    this.plot.path = null
    this.drag = { from: at, last: at, far: false, tool: this.viewer.tool }
    this.pinch = this.pointers.size === 2 ? this.span() : null
  }

  moved(event) {
    const at = [event.offsetX, event.offsetY]
    const { drag, plot, viewer } = this
    if (this.pointers.has(event.pointerId)) this.pointers.set(event.pointerId, at)
    if (this.pinch) return this.spread()
    if (!drag) return viewer.pointAt(plot.nearest(at), plot)
    drag.far ||= distance(drag.from, at) > CLICK
    if (!drag.far) return
    viewer.pointAt(null)
    if (drag.tool === "move") {
      plot.move(at[0] - drag.last[0], at[1] - drag.last[1])
      drag.last = at
      viewer.draw()
    } else {
      this.extend(at)
      viewer.drawOverlays()
    }
  }

  extend(at) {
    const { from, tool } = this.drag
    if (tool === "box") {
      this.plot.path = [from, [at[0], from[1]], at, [from[0], at[1]]]
      return
    }
    this.plot.path ??= [from]
    if (distance(this.plot.path.at(-1), at) > SPACING) this.plot.path.push(at)
  }

  released(event) {
    const { drag, pinch, plot, viewer } = this
    const { path } = plot
    this.pointers.delete(event.pointerId)
    this.drop()
    if (!drag || pinch) return
    if (path?.length > 2) viewer.select(plot, path)
    else if (!drag.far) this.click(drag.from, event.detail)
  }

  // Where a second click means "show everything", the first waits for it.
  click(at, count) {
    clearTimeout(this.clicking)
    if (count > 1) return
    const point = this.plot.nearest(at)
    const act = () => (point === null ? this.viewer.clear() : this.viewer.pick(point))
    this.clicking = setTimeout(act, this.plot.isMoved() ? PAUSE_MS : 0)
  }

  drop() {
    this.drag = this.pinch = this.plot.path = null
    this.viewer.drawOverlays()
  }

  destroy() {
    clearTimeout(this.clicking)
  }

  // Two fingers: how far apart they are, and the middle between them.
  span() {
    const [a, b] = [...this.pointers.values()]
    return { apart: distance(a, b), middle: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2] }
  }

  spread() {
    const now = this.span()
    this.plot.zoom(now.apart / Math.max(this.pinch.apart, 1), now.middle)
    this.pinch = now
    this.viewer.draw()
  }

  wheel(event) {
    // Without Ctrl the page scrolls on, as with a map in a page; a pinch comes with it.
    if (!(event.ctrlKey || event.metaKey)) return
    event.preventDefault()
    const factor = clamp(Math.exp(-event.deltaY / 100), 0.8, 1.25)
    this.plot.zoom(factor, [event.offsetX, event.offsetY])
    this.viewer.draw()
  }

  key(event) {
    const { plot, viewer } = this
    const step = 40
    const actions = {
      ArrowLeft: () => plot.move(step, 0),
      ArrowRight: () => plot.move(-step, 0),
      ArrowUp: () => plot.move(0, step),
      ArrowDown: () => plot.move(0, -step),
      "+": () => plot.zoom(1.25),
      "=": () => plot.zoom(1.25),
      "-": () => plot.zoom(0.8),
      0: () => plot.resetView(),
      " ": () => viewer.togglePlay(),
      Escape: () => (this.drag ? this.drop() : viewer.clear()),
    }
    if (!actions[event.key] || event.ctrlKey || event.metaKey || event.altKey) return
    event.preventDefault()
    actions[event.key]()
    viewer.draw()
  }
}

const distance = ([x0, y0], [x1, y1]) => Math.hypot(x1 - x0, y1 - y0)

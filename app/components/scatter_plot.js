// One panel: where its points are on the screen, and what is drawn of them.
//
// Coordinates are stored axis by axis. A stored point q stands for low + step · q. Turned by the
// rotation (none in the plane) and without its depth it is a place (u, v) of the plane, in which
// polygons are; the view says which place is in the middle of the canvas, and how large all is.

const MARGIN = 14 // CSS pixels between the outermost points and the edge, as all below
const REACH = 8 // of the pointer
const RADIUS = { share: 0.36, least: 1.3, most: 4.5, closest: 6 } // share of the room of a point
const BACK_RADIUS = 0.75 // of points that step back, as a share of the others'
const OPACITY = { front: 0.85, back: 0.3 }
const GREY = "#9AA0A6"
const MOST_ZOOM = 200
const FIRST_VIEW = { zoom: 1, u: 0, v: 0 }
const FIRST_ROTATION = turn(UNTURNED, 0.5, 0.35)
const LABEL = 12 // height of a mark's text
const TRIPOD = 26

class Plot {
  constructor(index, spec, n) {
    Object.assign(this, { index, spec, n })
    this.root = document.createElement("figure")
    this.root.innerHTML = `
      <figcaption class="title"></figcaption>
      <div class="frame">
        <canvas class="points"></canvas>
        <canvas class="overlay" tabindex="0" role="application"></canvas>
      </div>
      <div class="footer"></div>`
    const find = (selector) => this.root.querySelector(selector)
    this.canvas = find(".points")
    this.overlay = find(".overlay")
    this.footer = find(".footer")
    this.context = this.canvas.getContext("2d", { alpha: false })
    this.overlayContext = this.overlay.getContext("2d")
    find(".title").textContent = spec.title
    find(".title").hidden = !spec.title
    this.solid = spec.low.length === 3
    this.middle = spec.low.map((low, axis) => (low + spec.high[axis]) / 2)
    this.xs = new Float32Array(n) // pixels of the image
    this.ys = new Float32Array(n)
    this.depths = this.solid ? new Float32Array(n) : null
    this.position = 0
    this.path = null // of a lasso or a box, in CSS pixels
    this.resetView()
  }

  // Views -----------------------------------------------------------------------------------

  resetView() {
    this.view = FIRST_VIEW
    this.rotation = this.solid ? FIRST_ROTATION : UNTURNED
  }

  isMoved() {
    return this.view !== FIRST_VIEW
  }

  resize(width, height, ratio) {
    if (this.width === width && this.height === height && this.ratio === ratio) return
    Object.assign(this, { width, height, ratio })
    const [w, h] = [width, height].map((pixels) => Math.round(pixels * ratio))
    for (const canvas of [this.canvas, this.overlay]) {
      Object.assign(canvas, { width: w, height: h })
      Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` })
    }
    // Around what is seen there is room for symbols that are seen in part.
    this.pad = Math.ceil(4 * RADIUS.closest * ratio)
    this.image = new ImageData(w + 2 * this.pad, h + 2 * this.pad)
    this.pixels = new Uint32Array(this.image.data.buffer)
    this.stamps = {}
  }

  // CSS pixels of one unit of the data.
  get scale() {
    const { spec, width, height } = this
    const [w, h] = [width - 2 * MARGIN, height - 2 * MARGIN]
    const span = (axis) => spec.high[axis] - spec.low[axis] || spec.step
    const fit = this.solid
      ? Math.min(w, h) / (2 * (spec.radius || spec.step))
      : Math.min(w / span(0), h / span(1))
    return fit * this.view.zoom
  }

  // Place of the plane in the middle of the canvas.
  get center() {
    return [0, 1].map((axis) => this.along(axis, this.middle) + [this.view.u, this.view.v][axis])
  }

  // Coordinate of a place of the data along an axis of the screen.
  along(axis, place) {
    return dot(place, this.rotation[axis])
  }

  toScreen(place) {
    const [u, v] = this.center
    return [
      this.width / 2 + (this.along(0, place) - u) * this.scale,
      this.height / 2 - (this.along(1, place) - v) * this.scale,
    ]
  }

  toPlane([x, y]) {
    const [u, v] = this.center
    return [u + (x - this.width / 2) / this.scale, v - (y - this.height / 2) / this.scale]
  }

  zoom(factor, at = [this.width / 2, this.height / 2]) {
    const [u, v] = this.toPlane(at)
    this.view = { ...this.view, zoom: clamp(this.view.zoom * factor, 0.2, MOST_ZOOM) }
    const [newU, newV] = this.toPlane(at)
    this.view.u += u - newU
    this.view.v += v - newV
  }

  // Moves by pixels: in the plane the view, in space the points around their middle.
  move(dx, dy) {
    if (this.solid) {
      this.rotation = turn(this.rotation, dx / 120, dy / 120)
      this.view = { ...this.view }
      return
    }
    const { zoom, u, v } = this.view
    this.view = { zoom, u: u - dx / this.scale, v: v + dy / this.scale }
  }

  // Points ----------------------------------------------------------------------------------

  // The two frames that the points are between, and how far they are on their way.
  between() {
    const last = this.spec.frames.length - 1
    const lower = Math.min(Math.floor(this.position), last)
    return { lower, upper: Math.min(lower + 1, last), share: Math.min(this.position, last) - lower }
  }

  get shownFrame() {
    return Math.min(Math.round(this.position), this.spec.frames.length - 1)
  }

  // Where all points are in the image, once for every picture.
  project() {
    const { spec, pad, ratio, xs, ys, depths } = this
    const { lower, upper, share } = this.between()
    const [from, to] = [lower, upper].map((frame) => spec.frames[frame].points)
    const unit = this.scale * ratio * spec.step
    const [x0, y0] = this.toScreen(spec.low).map((pixels) => pad + pixels * ratio)
    const [[ax, ay, az], [bx, by, bz]] = this.rotation.map((row) => row.map((a) => a * unit))
    const [cx, cy, cz] = this.rotation[2]
    const { n } = this
    for (let i = 0, j = n, k = 2 * n; i < n; i++, j++, k++) {
      const p = from[i] + share * (to[i] - from[i])
      const q = from[j] + share * (to[j] - from[j])
      const r = depths ? from[k] + share * (to[k] - from[k]) : 0
      xs[i] = x0 + ax * p + ay * q + az * r
      ys[i] = y0 - bx * p - by * q - bz * r
      if (depths) depths[i] = cx * p + cy * q + cz * r
    }
    this.grid = null
  }

  // The point nearest to a place on the canvas, if one is near.
  nearest([x, y]) {
    if (!this.pixels) return null
    const { pad, ratio, canvas } = this
    this.grid ??= new Grid(
      this.xs, this.ys, canvas.width + 2 * pad, canvas.height + 2 * pad, REACH * ratio,
    )
    return this.grid.nearest(pad + x * ratio, pad + y * ratio)
  }

  // Which points of the shown frame are inside a polygon of the plane.
  inside(polygon) {
    const { spec, rotation, n } = this
    const { points } = spec.frames[this.shownFrame]
    const [left, right, bottom, top] = bounds(polygon)
    const size = spec.low.length
    const found = new Uint8Array(n)
    const place = Array(size)
    for (let i = 0; i < n; i++) {
      for (let axis = 0; axis < size; axis++) {
        place[axis] = spec.low[axis] + spec.step * points[axis * n + i]
      }
      let [u, v] = place
      if (this.solid) {
        const [x, y, z] = place
        u = rotation[0][0] * x + rotation[0][1] * y + rotation[0][2] * z
        v = rotation[1][0] * x + rotation[1][1] * y + rotation[1][2] * z
      }
      if (u < left || u > right || v < bottom || v > top) continue
      found[i] = insidePolygon(u, v, polygon) ? 1 : 0
    }
    return found
  }

  // Which points stand in front, and which step back: those that are dimmed, or, where some are
  // selected, those that are not.
  sort(paint, selected) {
    this.paint = paint
    this.codes = paint.frames[this.shownFrame].colors
    this.sorted = this.shownFrame
    const [front, back] = [new Uint32Array(this.n), new Uint32Array(this.n)]
    let [f, b] = [0, 0]
    for (let i = 0; i < this.n; i++) {
      if (selected ? selected[i] : this.codes[i] !== DIMMED) front[f++] = i
      else back[b++] = i
    }
    this.front = front.subarray(0, f)
    this.back = back.subarray(0, b)
  }

  get radius() {
    const room = Math.sqrt((this.width * this.height) / this.n)
    const radius = clamp(RADIUS.share * room, RADIUS.least, RADIUS.most)
    return Math.min(radius * Math.max(this.view.zoom, 1) ** 0.3, RADIUS.closest)
  }

  // Drawing ---------------------------------------------------------------------------------

  draw(look) {
    this.project()
    this.pixels.fill(look.pixels.background)
    const { back, codes, pad } = this
    const front = this.solid ? byDepth(this.front, this.depths) : this.front
    const behind = this.stamp("back", this.radius * BACK_RADIUS)
    behind.print(this.pixels, this, back, look.zeros, look.pixels.back, look.zeros)
    this.stamp("front", this.radius).print(
      this.pixels, this, front, codes, look.pixels.colors, look.symbols,
    )
    const { width, height } = this.canvas
    this.context.putImageData(this.image, -pad, -pad, pad, pad, width, height)
    this.context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0)
    this.drawMarks(look)
    if (this.solid) this.drawTripod(look)
    else this.drawAxisNames(look)
  }

  // Stamps of about this radius: a quarter of a pixel is not seen.
  stamp(kind, radius) {
    const pixels = Math.round(radius * this.ratio * 4) / 4
    if (this.stamps[kind]?.radius !== pixels) {
      this.stamps[kind] = new Stamps(pixels, this.image.width, OPACITY[kind])
    }
    return this.stamps[kind]
  }

  // Marks of the shown frame, on their way like the points where the next frame has the same.
  marks() {
    const { lower, upper, share } = this.between()
    const [from, to] = [lower, upper].map((frame) => this.paint.frames[frame].marks)
    const same = from.length === to.length && from.every(([text], i) => text === to[i][0])
    if (!same) return this.paint.frames[this.shownFrame].marks
    return from.map(([text, place, color], i) => [
      text, place.map((start, axis) => start + share * (to[i][1][axis] - start)), color,
    ])
  }

  drawMarks(look) {
    const { context } = this
    const marks = this.marks().map(([text, place, color]) => ({
      text, color, at: this.toScreen(place),
    }))
    for (const { at, color } of marks) {
      const fill = look.colors[color] ?? look.text
      for (const [radius, style] of [[6.5, look.background], [5, look.text], [3.5, fill]]) {
        tracePath(context, "circle", ...at, radius)
        context.fillStyle = style
        context.fill()
      }
    }
    context.font = `600 ${LABEL}px ${look.family}`
    context.textAlign = "center"
    context.textBaseline = "middle"
    const taken = []
    for (const { text, at } of marks) {
      const place = this.freePlace(at, context.measureText(text).width, taken)
      if (place) this.write(text, ...place, look)
    }
  }

  // Above, below or beside a mark, wherever no other label is; null if there is no room.
  freePlace([x, y], width, taken) {
    const aside = width / 2 + 9
    for (const [dx, dy] of [[0, -15], [0, 15], [aside, 0], [-aside, 0]]) {
      const box = [x + dx - width / 2, y + dy - LABEL / 2, x + dx + width / 2, y + dy + LABEL / 2]
      const seen = box[0] >= 2 && box[1] >= 2 && box[2] <= this.width - 2 && box[3] <= this.height - 2
      const free = taken.every((t) => t[0] > box[2] || t[2] < box[0] || t[1] > box[3] || t[3] < box[1])
      if (!seen || !free) continue
      taken.push(box)
      return [x + dx, y + dy]
    }
    return null
  }

  // Text with a rim, to be read on any points.
  write(text, x, y, look) {
    const { context } = this
    context.lineJoin = "round"
    context.lineWidth = 3.5
    context.strokeStyle = look.background
    context.strokeText(text, x, y)
    context.fillStyle = look.text
    context.fillText(text, x, y)
  }

  drawAxisNames(look) {
    const { context, height } = this
    const [first, second] = look.axisNames
    context.font = `11px ${look.family}`
    context.textAlign = "left"
    context.textBaseline = "middle"
    this.write(`${first} →`, 18, height - 10, look)
    context.save()
    context.translate(10, height - 18)
    context.rotate(-Math.PI / 2)
    this.write(`${second} →`, 0, 0, look)
    context.restore()
  }

  // The directions of the three axes.
  drawTripod(look) {
    const { context, rotation, height } = this
    const [x, y] = [TRIPOD + 14, height - TRIPOD - 14]
    context.font = `600 11px ${look.family}`
    context.textAlign = "center"
    context.textBaseline = "middle"
    context.lineWidth = 2
    for (const axis of [0, 1, 2]) {
      const [dx, dy] = [rotation[0][axis] * TRIPOD, -rotation[1][axis] * TRIPOD]
      context.strokeStyle = look.text
      context.beginPath()
      context.moveTo(x, y)
      context.lineTo(x + dx, y + dy)
      context.stroke()
      this.write(String(axis + 1), x + dx * 1.35, y + dy * 1.35, look)
    }
    context.font = `11px ${look.family}`
    context.textAlign = "left"
    look.axisNames.forEach((name, axis) => {
      this.write(`${axis + 1}: ${name}`, 2 * x, y - 15 + 14 * axis, look)
    })
  }

  // What changes with the pointer: a ring around a point, and the path of a selection.
  drawOverlay(look, pointed) {
    const { overlayContext: context, ratio, width, height } = this
    context.setTransform(ratio, 0, 0, ratio, 0, 0)
    context.clearRect(0, 0, width, height)
    if (pointed !== null) {
      const [x, y] = this.screenPlace(pointed)
      for (const [line, style] of [[5, look.background], [2, look.text]]) {
        tracePath(context, "circle", x, y, this.radius + 4)
        context.lineWidth = line
        context.strokeStyle = style
        context.stroke()
      }
    }
    if (!this.path) return
    context.beginPath()
    for (const [x, y] of this.path) context.lineTo(x, y)
    context.closePath()
    context.strokeStyle = context.fillStyle = look.primary
    context.lineWidth = 1.5
    context.stroke()
    context.globalAlpha = 0.12
    context.fill("evenodd")
    context.globalAlpha = 1
  }

  // Where a point is on the canvas.
  screenPlace(i) {
    return [(this.xs[i] - this.pad) / this.ratio, (this.ys[i] - this.pad) / this.ratio]
  }
}

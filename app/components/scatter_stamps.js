// Symbols printed into pixels by hand: a canvas needs over 100 ms to draw fifty thousand of them,
// this a few. Each symbol is drawn once for each of 4 × 4 places within a pixel, so that points
// move smoothly, and its pixels are then blended wherever a point is.

const SUB = 4 // places within a pixel along each axis
const WIDEST = 1.3 // reach of a symbol in radii

// Corners in radii around the point; the areas are about those of the circle.
const SHAPES = {
  diamond: [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]],
  cross: [
    [-0.4, -1.2], [0.4, -1.2], [0.4, -0.4], [1.2, -0.4], [1.2, 0.4], [0.4, 0.4],
    [0.4, 1.2], [-0.4, 1.2], [-0.4, 0.4], [-1.2, 0.4], [-1.2, -0.4], [-0.4, -0.4],
  ],
  "triangle-up": [[0, -1.25], [1.2, 0.9], [-1.2, 0.9]],
  square: [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
}
const SYMBOLS = ["circle", ...Object.keys(SHAPES)]

function tracePath(context, symbol, x, y, radius) {
  context.beginPath()
  if (symbol === "circle") context.arc(x, y, radius, 0, 2 * Math.PI)
  else for (const [dx, dy] of SHAPES[symbol]) context.lineTo(x + dx * radius, y + dy * radius)
  context.closePath()
}

// The same outline for an element of the page.
function clipPath(symbol) {
  if (symbol === "circle") return "circle(38%)"
  const corners = SHAPES[symbol].map(([x, y]) => `${50 + 38 * x}% ${50 + 38 * y}%`)
  return `polygon(${corners})`
}

// Colours of any kind that CSS knows as the bytes of pixels.
function toPixels(colors) {
  const context = new OffscreenCanvas(colors.length, 1).getContext("2d")
  colors.forEach((color, x) => {
    context.fillStyle = color
    context.fillRect(x, 0, 1, 1)
  })
  return new Uint32Array(context.getImageData(0, 0, colors.length, 1).data.buffer)
}

class Stamps {
  // `radius` in pixels of the canvas, `stride` those of a row that is printed into.
  constructor(radius, stride, opacity) {
    Object.assign(this, { radius, stride, opacity })
    this.reach = Math.ceil(radius * WIDEST) + 1
    const size = 2 * this.reach + 1
    const width = size * SUB * SUB
    const context = new OffscreenCanvas(width, size * SYMBOLS.length).getContext("2d")
    SYMBOLS.forEach((symbol, row) => {
      for (let sub = 0; sub < SUB * SUB; sub++) {
        const x = sub * size + this.reach + ((sub % SUB) + 0.5) / SUB
        const y = row * size + this.reach + (Math.floor(sub / SUB) + 0.5) / SUB
        tracePath(context, symbol, x, y, radius)
        context.fill()
      }
    })
    this.cut(context.getImageData(0, 0, width, size * SYMBOLS.length).data, size, width)
  }

  // Keeps of each drawn symbol the pixels that it covers, and how much (0 to 256).
  cut(data, size, width) {
    const [starts, offsets, covers] = [[0], [], []]
    for (let row = 0; row < SYMBOLS.length; row++) {
      for (let sub = 0; sub < SUB * SUB; sub++) {
        for (let y = 0; y < size; y++) {
          for (let x = 0; x < size; x++) {
            const at = (row * size + y) * width + sub * size + x
            const cover = Math.round((data[4 * at + 3] / 255) * this.opacity * 256)
            if (cover === 0) continue
            offsets.push((y - this.reach) * this.stride + x - this.reach)
            covers.push(cover)
          }
        }
        starts.push(offsets.length)
      }
    }
    this.starts = Uint32Array.from(starts)
    this.offsets = Int32Array.from(offsets)
    this.covers = Uint16Array.from(covers)
  }

  // Prints the listed points in the colours and symbols of their codes.
  print(pixels, { xs, ys }, list, codes, colors, symbols) {
    const { stride, reach, starts, offsets, covers } = this
    const [right, bottom] = [stride - reach, pixels.length / stride - reach]
    for (let k = 0; k < list.length; k++) {
      const i = list[k]
      const [x, y] = [Math.floor(xs[i]), Math.floor(ys[i])]
      if (!(x >= reach && y >= reach && x < right && y < bottom)) continue
      const sub = Math.floor((ys[i] - y) * SUB) * SUB + Math.floor((xs[i] - x) * SUB)
      const stamp = symbols[codes[i]] * SUB * SUB + sub
      const color = colors[codes[i]]
      const [redBlue, green] = [color & 0xff00ff, color & 0xff00]
      const at = y * stride + x
      for (let j = starts[stamp]; j < starts[stamp + 1]; j++) {
        const cover = covers[j]
        const rest = 256 - cover
        const below = pixels[at + offsets[j]]
        const mixed = Math.imul(redBlue, cover) + Math.imul(below & 0xff00ff, rest)
        const middle = Math.imul(green, cover) + Math.imul(below & 0xff00, rest)
        pixels[at + offsets[j]] =
          0xff000000 | ((mixed >>> 8) & 0xff00ff) | ((middle >>> 8) & 0xff00)
      }
    }
  }
}

// What the viewers' scripts share; it stands before each of them.

function unpack(message) {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
  const length = view.getUint32(0, true)
  const header = JSON.parse(new TextDecoder().decode(message.subarray(4, 4 + length)))
  return { header, body: message.subarray(4 + length) }
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high)

// Colours and font of the page, as Streamlit hands them down.
function pageTheme(element) {
  const style = getComputedStyle(element)
  const read = (name) => style.getPropertyValue(name).trim()
  return {
    text: read("--st-text-color"),
    background: read("--st-background-color"),
    primary: read("--st-primary-color"),
    family: read("--st-font") || "sans-serif",
  }
}

// Cuts a text so that it fits into some pixels of a canvas.
function shorten(context, text, room) {
  const width = context.measureText(text).width
  if (width <= room) return text
  return `${text.slice(0, Math.floor((text.length * room) / width) - 1)}…`
}

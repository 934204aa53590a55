// Tiles of one picture with text below them. Texts are set as text: names may hold anything.
export default function ({ data, parentElement }) {
  const { picture, side, width, columns, captions } = data
  const tiles = captions.map(({ title, detail, marked }, place) => {
    const tile = element("div", "picture")
    const column = place % columns
    const row = Math.floor(place / columns)
    Object.assign(tile.style, {
      width: `${side}px`,
      height: `${side}px`,
      backgroundSize: `${width}px auto`,
      backgroundPosition: `-${column * side}px -${row * side}px`,
    })
    const figure = element("figure", marked ? "marked" : "")
    figure.setAttribute("role", "listitem")
    figure.append(tile, element("figcaption", "", title), element("figcaption", "detail", detail))
    figure.title = [title, detail].filter(Boolean).join("\n")
    return figure
  })
  const gallery = parentElement.querySelector(".gallery")
  gallery.style.setProperty("--sheet", `url(${picture})`)
  gallery.replaceChildren(...tiles)
}

function element(name, className, text = "") {
  const made = document.createElement(name)
  made.className = className
  made.textContent = text
  return made
}

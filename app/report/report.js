// Draws the figures in the colours that the reader's system asks for, and in light ones on paper.
const FONT = 'system-ui, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif'
const LIGHT = { text: "#1f2328", line: "#d5dae0", page: "#ffffff" }
const DARK = { text: "#e6e8eb", line: "#3a414b", page: "#1d2229" }
const PAPER_WIDTH = 1000 // pixels; the stylesheet shrinks them to the width of a sheet
const CONFIG = { displaylogo: false, responsive: true }

const figures = JSON.parse(document.getElementById("figures").textContent)
const dark = matchMedia("(prefers-color-scheme: dark)")

function template({ text, line, page }) {
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true }
  return {
    layout: {
      font: { family: FONT, size: 12, color: text },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      hoverlabel: { bgcolor: page, bordercolor: line, font: { color: text } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: text },
      xaxis: axis,
      yaxis: axis,
    },
  }
}

const onScreen = () => template(dark.matches ? DARK : LIGHT)

function restyle(change) {
  for (const id of Object.keys(figures)) Plotly.relayout(id, change(document.getElementById(id)))
}

const narrow = (place) => place.parentElement.classList.contains("narrow")

async function draw() {
  for (const [id, { data, layout }] of Object.entries(figures)) {
    await Plotly.newPlot(id, data, { ...layout, template: onScreen() }, CONFIG)
  }
  document.documentElement.dataset.drawn = Object.keys(figures).length
}

draw()
dark.addEventListener("change", () => restyle(() => ({ template: onScreen() })))
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true
  restyle((place) => ({
    template: template(LIGHT),
    width: narrow(place) ? PAPER_WIDTH / 2 - 10 : PAPER_WIDTH,
  }))
})
addEventListener("afterprint", () => restyle(() => ({ template: onScreen(), width: null })))

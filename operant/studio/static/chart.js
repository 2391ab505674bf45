// A small line chart as SVG.

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [300, 130, 46, 18, 8];

function make(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// At most `most` round numbers (1, 2 or 5 times a power of ten) in [low, high].
function ticks(low, high, most) {
  const power = 10 ** Math.floor(Math.log10((high - low) / most));
  for (const m of [1, 2, 5, 10, 20, 50]) {
    const step = power * m;
    const first = Math.ceil(low / step - 1e-9);
    const last = Math.floor(high / step + 1e-9);
    if (last - first < most) return Array.from({ length: last - first + 1 }, (_, k) => (first + k) * step);
  }
  return [];
}

export function number(x) {
  if (x === null || x === undefined || !Number.isFinite(x)) return "–";
  return x.toLocaleString("en-GB", { maximumSignificantDigits: 4 }).replace("-", "−");
}

export function short(x) {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) if (Math.abs(x) >= size) return `${Number((x / size).toPrecision(4))}${unit}`;
  return `${x}`;
}

// series: [[x, y], …] each; told: what it shows, in words.
export function draw(place, series, told) {
  const shown = series.map((line) => line.filter(([, y]) => y !== null)).filter((line) => line.length);
  if (!shown.length) return place.replaceChildren();
  const all = shown.flat();
  const [x0, x1] = [Math.min(...all.map((p) => p[0])), Math.max(...all.map((p) => p[0]))];
  let [y0, y1] = [Math.min(...all.map((p) => p[1])), Math.max(...all.map((p) => p[1]))];
  const margin = (y1 - y0) * 0.06 || Math.abs(y1) * 0.1 || 1;
  [y0, y1] = [y0 - margin, y1 + margin];
  const x = (v) => LEFT + ((v - x0) / (x1 - x0 || 1)) * (WIDTH - LEFT - 6);
  const y = (v) => HEIGHT - BOTTOM - ((v - y0) / (y1 - y0)) * (HEIGHT - BOTTOM - TOP);
  const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": told });
  for (const tick of ticks(y0, y1, 4)) {
    svg.append(make("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: y(tick), y2: y(tick) }));
    svg.append(make("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, Math.abs(tick) >= 1e4 ? short(tick).replace("-", "−") : number(tick)));
  }
  svg.append(make("text", { x: LEFT, y: HEIGHT - 3 }, short(x0)));
  if (x1 > x0) svg.append(make("text", { x: WIDTH, y: HEIGHT - 3, "text-anchor": "end" }, short(x1)));
  series.forEach((line, k) => {
    const points = line.filter(([, v]) => v !== null).map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`);
    if (points.length) svg.append(make("path", { class: `c${k}`, d: `M${points.join(" ")}${points.length === 1 ? " h0" : ""}` }));
  });
  place.replaceChildren(svg);
}

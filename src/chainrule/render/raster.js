// A map that can be looked at closely: wheel, pinch, drag and keys move the view; a pointer or the keys choose a run.
//
// Every <figure class="raster"> holds its data as JSON. A view is a window in cells: cell 0 is drawn from -0.5 to 0.5.
// Nothing is loaded, and nothing outside of the figure is touched.
"use strict";

(() => {
  const MARGIN = { left: 62, right: 26, top: 10, bottom: 46 };
  const FEWEST_CELLS = 4; // across a view that is zoomed as far as it goes
  const LONGEST = 8; // characters of a tick
  const STEP = 1.5; // how much closer a press of + or of a button goes

  const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  function numbers(text) {
    const view = new DataView(bytes(text).buffer);
    return Float32Array.from({ length: view.byteLength / 4 }, (_, place) => view.getFloat32(4 * place, true));
  }

  // An axis: cells to values and back, ticks, and how its values are written.

  function axisOf(given) {
    const isLog = given.scale === "log";
    const onScale = isLog ? Math.log10 : Number;
    const [low, high] = [onScale(given.low), onScale(given.high)];
    const step = (high - low) / (given.count - 1);
    const valueAt = (cell) => (isLog ? 10 ** (low + cell * step) : low + cell * step);
    const cellOf = (value) => (onScale(value) - low) / step;

    function ticks(first, last) {
      if (given.names.length) return namedTicks(first, last);
      const [start, end] = [low + first * step, low + last * step];
      const powers = isLog && end - start >= 2 - 1e-9 ? powersBetween(start, end) : [];
      if (powers.length) {
        const isPlain = powers[0] >= -3 && powers[powers.length - 1] <= 4;
        return powers.map((power) => ({ cell: (power - low) / step, text: powerText(power, isPlain) }));
      }
      const few = isLog && end - start > 0.5 ? oneTwoFive(start, end) : [];
      if (few.length >= 3) return few.map((value) => ({ cell: cellOf(value), text: String(value) }));
      const values = roundNumbers(valueAt(first), valueAt(last), 5);
      const texts = distinctTexts(values);
      if (texts.every((text) => text.length <= LONGEST)) {
        return values.map((value, place) => ({ cell: cellOf(value), text: texts[place] }));
      }
      // Neighbours differ far behind the point: the texts are what is added to the roundest of them.
      const lengths = texts.map((text) => text.length);
      const middle = lengths.indexOf(Math.min(...lengths));
      const apart = Number(((values[values.length - 1] - values[0]) / (values.length - 1)).toPrecision(1));
      const offset = (many) => (many > 0 ? "+" : "") + Number((many * apart).toPrecision(2)).toString().replace("-", "−");
      return values.map((value, place) => ({ cell: cellOf(value), text: offset(place - middle), base: texts[middle] }));
    }

    function namedTicks(first, last) {
      const every = Math.max(1, Math.ceil((last - first) / 16));
      const cells = given.names.map((_, cell) => cell).filter((cell) => cell >= first && cell <= last);
      return cells.filter((cell) => cell % every === 0).map((cell) => ({ cell, text: given.names[cell].slice(0, 10) }));
    }

    function text(cell) {
      if (given.names.length) return given.names[cell];
      const apart = Math.abs(valueAt(cell + 1) - valueAt(cell));
      return Number(valueAt(cell).toPrecision(digitsFor(valueAt(cell), apart, 2))).toString().replace("-", "−");
    }

    // The middle of a window, with as many digits as the window asks for.
    function middle(first, last) {
      const value = valueAt((first + last) / 2);
      return Number(value.toPrecision(digitsFor(value, Math.abs(valueAt(last) - valueAt(first)), 4))).toString();
    }

    return { name: given.name, label: given.label, count: given.count, ticks, text, middle };
  }

  const digitsFor = (value, apart, more) =>
    clamp(Math.ceil(Math.log10(Math.abs(value || apart) / apart)) + more, 3, 17);

  function powersBetween(first, last) {
    const found = [];
    for (let power = Math.ceil(first - 1e-9); power <= last + 1e-9; power += 1) found.push(power);
    const every = Math.ceil(found.length / 10);
    return found.filter((_, place) => place % every === 0);
  }

  const powerText = (power, isPlain) =>
    isPlain
      ? String(Number((10 ** power).toPrecision(1)))
      : "10" + String(power).replace(/./g, (sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]);

  function oneTwoFive(first, last) {
    const found = [];
    for (let power = Math.floor(first); power <= Math.ceil(last); power += 1) {
      for (const part of [1, 2, 5]) found.push(Number(`${part}e${power}`));
    }
    return found.filter((value) => Math.log10(value) >= first - 1e-9 && Math.log10(value) <= last + 1e-9);
  }

  function roundNumbers(low, high, count) {
    const raw = (high - low) / count;
    const unit = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((factor) => factor * unit).find((each) => each >= raw * (1 - 1e-9));
    const found = [];
    for (let number = Math.ceil(low / step - 1e-9); number <= high / step + 1e-9; number += 1) found.push(number * step);
    return found;
  }

  function distinctTexts(values) {
    if (values.length < 2) return values.map((value) => String(Number(value.toPrecision(6))));
    const largest = Math.max(...values.map(Math.abs));
    const digits = digitsFor(largest, values[1] - values[0], 1);
    return values.map((value) => String(Number(value.toPrecision(digits))));
  }

  function numberText(value) {
    if (Number.isNaN(value)) return "none";
    if (!Number.isFinite(value)) return value > 0 ? "above 3.4e38" : "below −3.4e38";
    return Number(value.toPrecision(5)).toString().replace("-", "−");
  }

  // The figure.

  function explore(figure) {
    const data = JSON.parse(figure.querySelector("script").textContent);
    const canvas = figure.querySelector("canvas");
    const pen = canvas.getContext("2d");
    const [x, y] = [axisOf(data.x), axisOf(data.y)];
    const whole = { x0: -0.5, x1: x.count - 0.5, y0: -0.5, y1: y.count - 0.5 };
    const facts = data.facts.map((fact) => {
      const values = fact.names.length ? bytes(fact.packed) : numbers(fact.packed);
      return { label: fact.label, text: (run) => (fact.names.length ? fact.names[values[run]] : numberText(values[run])) };
    });
    const picture = paint(data, x.count, y.count);
    const readout = figure.querySelector(".raster-readout");
    let view = { ...whole };
    let chosen = null; // the cell that is looked at
    let waiting = false;

    const closer = () => (whole.x1 - whole.x0) / (view.x1 - view.x0);
    const plot = () => ({
      left: MARGIN.left,
      top: MARGIN.top,
      width: canvas.clientWidth - MARGIN.left - MARGIN.right,
      height: canvas.clientHeight - MARGIN.top - MARGIN.bottom,
    });
    const acrossOf = (cell, area) => area.left + ((cell - view.x0) / (view.x1 - view.x0)) * area.width;
    const downOf = (cell, area) => area.top + ((view.y1 - cell) / (view.y1 - view.y0)) * area.height;

    function place(event) {
      const [box, area] = [canvas.getBoundingClientRect(), plot()];
      const across = (event.clientX - box.left - area.left) / area.width;
      const up = 1 - (event.clientY - box.top - area.top) / area.height;
      return {
        x: view.x0 + across * (view.x1 - view.x0),
        y: view.y0 + up * (view.y1 - view.y0),
        isInside: across >= 0 && across <= 1 && up >= 0 && up <= 1,
      };
    }

    function look(next) {
      const share = clamp(
        (next.x1 - next.x0) / (whole.x1 - whole.x0),
        Math.min(1, FEWEST_CELLS / Math.min(x.count, y.count)),
        1,
      );
      const [width, height] = [share * x.count, share * y.count];
      const left = clamp((next.x0 + next.x1 - width) / 2, whole.x0, whole.x1 - width);
      const bottom = clamp((next.y0 + next.y1 - height) / 2, whole.y0, whole.y1 - height);
      view = { x0: left, x1: left + width, y0: bottom, y1: bottom + height };
      canvas.style.touchAction = share < 1 ? "none" : "pan-x pan-y";
      say();
      redraw();
    }

    // Zoom by a factor so that the point under (px, py) stays where it is.
    function zoom(factor, px, py) {
      const share = clamp(1 / (closer() * factor), Math.min(1, FEWEST_CELLS / Math.min(x.count, y.count)), 1);
      const real = 1 / (share * closer());
      look({
        x0: px - (px - view.x0) / real,
        x1: px + (view.x1 - px) / real,
        y0: py - (py - view.y0) / real,
        y1: py + (view.y1 - py) / real,
      });
    }

    const zoomMiddle = (factor) => {
      const at = chosen && isSeen(chosen) ? chosen : { x: (view.x0 + view.x1) / 2, y: (view.y0 + view.y1) / 2 };
      zoom(factor, at.x, at.y);
    };
    const isSeen = (cell) => cell.x >= view.x0 && cell.x <= view.x1 && cell.y >= view.y0 && cell.y <= view.y1;

    function choose(cell) {
      chosen = cell && { x: clamp(Math.round(cell.x), 0, x.count - 1), y: clamp(Math.round(cell.y), 0, y.count - 1) };
      const run = chosen && chosen.y * x.count + chosen.x;
      const lines = chosen
        ? [[x.name, x.text(chosen.x)], [y.name, y.text(chosen.y)], ...facts.map((fact) => [fact.label, fact.text(run)])]
        : [];
      readout.replaceChildren(...(lines.length ? lines.map(described) : [hint()]));
      redraw();
    }

    function described([label, text]) {
      const [item, term, detail] = ["div", "dt", "dd"].map((name) => document.createElement(name));
      term.textContent = label;
      detail.textContent = text;
      item.append(term, detail);
      return item;
    }

    function hint() {
      const item = document.createElement("div");
      item.className = "hint";
      item.textContent = figure.dataset.hint;
      return item;
    }

    // The command that draws what is seen, and how close it is.
    function say() {
      const factor = Number(closer().toPrecision(3));
      figure.querySelector(".raster-closeness").textContent = factor > 1 ? `${factor}×` : "whole map";
      const line = figure.querySelector(".raster-command");
      if (!line) return;
      const values = { x: x.middle(view.x0, view.x1), y: y.middle(view.y0, view.y1), factor: String(factor) };
      const text = data.command.replace(/\{(x|y|factor)\}/g, (_, name) => values[name]);
      line.hidden = factor <= 1;
      line.querySelector("code").textContent = text;
    }

    function redraw() {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        draw();
      });
    }

    function draw() {
      const style = getComputedStyle(canvas);
      const colour = (name) => style.getPropertyValue(name).trim();
      const dense = window.devicePixelRatio || 1;
      const [width, height] = [canvas.clientWidth, canvas.clientHeight];
      if (canvas.width !== Math.round(width * dense) || canvas.height !== Math.round(height * dense)) {
        canvas.width = Math.round(width * dense);
        canvas.height = Math.round(height * dense);
      }
      pen.setTransform(dense, 0, 0, dense, 0, 0);
      pen.clearRect(0, 0, width, height);
      const area = plot();
      pen.imageSmoothingEnabled = (area.width * dense) / (view.x1 - view.x0) < 1;
      const [wide, high] = [view.x1 - view.x0, view.y1 - view.y0];
      pen.drawImage(picture, view.x0 + 0.5, whole.y1 - view.y1, wide, high, area.left, area.top, area.width, area.height);
      pen.save();
      pen.beginPath();
      pen.rect(area.left, area.top, area.width, area.height);
      pen.clip();
      data.marks.forEach((mark) => drawMark(mark, acrossOf(mark.column, area), downOf(mark.row, area)));
      if (chosen) drawChosen(area);
      pen.restore();
      drawAxes(area, colour);
    }

    function drawMark(mark, across, down) {
      pen.beginPath();
      if (mark.sign === "ring") {
        pen.arc(across, down, 5.5, 0, 2 * Math.PI);
      } else {
        for (let corner = 0; corner < 10; corner += 1) {
          const [turn, far] = [(corner * Math.PI) / 5 - Math.PI / 2, corner % 2 ? 3.7 : 9];
          pen.lineTo(across + far * Math.cos(turn), down + far * Math.sin(turn));
        }
        pen.closePath();
      }
      pen.fillStyle = "#ffffff";
      pen.fill();
      pen.lineWidth = 1.4;
      pen.strokeStyle = "#000000";
      pen.stroke();
    }

    function drawChosen(area) {
      const [left, right] = [acrossOf(chosen.x - 0.5, area), acrossOf(chosen.x + 0.5, area)];
      const [top, bottom] = [downOf(chosen.y + 0.5, area), downOf(chosen.y - 0.5, area)];
      const spare = Math.max(0, (7 - (right - left)) / 2); // a small cell has a frame around it that can be seen
      for (const [stroke, wide] of [["#000000", 3], ["#ffffff", 1.4]]) {
        pen.strokeStyle = stroke;
        pen.lineWidth = wide;
        pen.strokeRect(left - spare, top - spare, right - left + 2 * spare, bottom - top + 2 * spare);
      }
    }

    function drawAxes(area, colour) {
      pen.font = `12px ${colour("--sans")}`;
      pen.strokeStyle = colour("--quiet");
      pen.lineWidth = 1;
      pen.strokeRect(area.left - 0.5, area.top - 0.5, area.width + 1, area.height + 1);
      pen.fillStyle = colour("--quiet");
      pen.textAlign = "center";
      pen.textBaseline = "top";
      let free = -Infinity; // where the last text ended, so that none covers another
      const [along, up] = [x.ticks(view.x0, view.x1), y.ticks(view.y0, view.y1)];
      for (const tick of along) {
        const across = acrossOf(tick.cell, area);
        line(across, area.top + area.height, across, area.top + area.height + 4);
        const half = pen.measureText(tick.text).width / 2;
        if (across - half < free || across + half > canvas.clientWidth) continue;
        pen.fillText(tick.text, across, area.top + area.height + 7);
        free = across + half + 6;
      }
      pen.textAlign = "right";
      pen.textBaseline = "middle";
      for (const tick of up) {
        const down = downOf(tick.cell, area);
        line(area.left - 4, down, area.left, down);
        pen.fillText(tick.text, area.left - 7, down, area.left - 26);
      }
      pen.fillStyle = colour("--ink");
      pen.textAlign = "center";
      pen.textBaseline = "alphabetic";
      pen.font = `13px ${colour("--sans")}`;
      const labelled = (axis, ticks) => axis.label + (ticks.length && ticks[0].base ? `, minus ${ticks[0].base}` : "");
      pen.fillText(labelled(x, along), area.left + area.width / 2, canvas.clientHeight - 8, area.width);
      pen.save();
      pen.translate(14, area.top + area.height / 2);
      pen.rotate(-Math.PI / 2);
      pen.fillText(labelled(y, up), 0, 0, area.height);
      pen.restore();
    }

    function line(fromX, fromY, toX, toY) {
      pen.beginPath();
      pen.moveTo(fromX, fromY);
      pen.lineTo(toX, toY);
      pen.stroke();
    }

    // Pointers: one drags and chooses, two pinch.

    const pointers = new Map();
    let pinch = null;

    canvas.addEventListener("pointerdown", (event) => {
      pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      canvas.setPointerCapture(event.pointerId);
      pinch = pointers.size === 2 ? spread() : null;
      choose(placeInside(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) {
        choose(placeInside(event));
        return;
      }
      pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (pointers.size === 2) {
        const now = spread();
        const at = place({ clientX: now.x, clientY: now.y });
        if (pinch && pinch.length > 0) zoom(now.length / pinch.length, at.x, at.y);
        pinch = now;
        return;
      }
      const area = plot();
      const right = ((before.x - event.clientX) / area.width) * (view.x1 - view.x0);
      const up = ((event.clientY - before.y) / area.height) * (view.y1 - view.y0);
      look({ x0: view.x0 + right, x1: view.x1 + right, y0: view.y0 + up, y1: view.y1 + up });
      choose(placeInside(event));
    });
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => {
        pointers.delete(event.pointerId);
        pinch = null;
      });
    }

    function placeInside(event) {
      const at = place(event);
      return at.isInside ? at : chosen;
    }

    function spread() {
      const [one, other] = [...pointers.values()];
      return { length: Math.hypot(one.x - other.x, one.y - other.y), x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 };
    }

    canvas.addEventListener(
      "wheel",
      (event) => {
        const at = place(event);
        if (!at.isInside || (event.deltaY > 0 && closer() <= 1.0001)) return; // the page scrolls on
        event.preventDefault();
        const lines = event.deltaMode === 1 ? 20 : 1;
        zoom(Math.exp(-clamp(event.deltaY * lines, -240, 240) / 240), at.x, at.y);
        choose(place(event));
      },
      { passive: false },
    );
    canvas.addEventListener("dblclick", (event) => {
      const at = place(event);
      if (at.isInside) zoom(2, at.x, at.y);
    });

    // Keys: arrows choose a run, and the view goes along.

    canvas.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (moves[event.key]) {
        const [right, up] = moves[event.key].map((step) => step * (event.shiftKey ? 10 : 1));
        const from = chosen || { x: (view.x0 + view.x1) / 2, y: (view.y0 + view.y1) / 2 };
        choose({ x: from.x + right, y: from.y + up });
        if (!isSeen(chosen)) look({ x0: view.x0 + right, x1: view.x1 + right, y0: view.y0 + up, y1: view.y1 + up });
      } else if (event.key === "+" || event.key === "=") zoomMiddle(STEP);
      else if (event.key === "-") zoomMiddle(1 / STEP);
      else if (event.key === "0" || event.key === "Home") look(whole);
      else return;
      event.preventDefault();
    });

    const buttons = { closer: () => zoomMiddle(STEP), farther: () => zoomMiddle(1 / STEP), whole: () => look(whole) };
    for (const [name, act] of Object.entries(buttons)) {
      figure.querySelector(`[data-act="${name}"]`).addEventListener("click", act);
    }
    const copy = figure.querySelector('[data-act="copy"]');
    if (copy) {
      copy.addEventListener("click", () => {
        const code = figure.querySelector(".raster-command code");
        getSelection().selectAllChildren(code); // for browsers that let no page of a file write to the clipboard
        if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).catch(() => {});
      });
    }

    for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", redraw);
    new ResizeObserver(redraw).observe(canvas);
    choose(null);
    look(whole);
    figure.dataset.ready = "yes";
  }

  // The cells as an image with a pixel for each; images go from the top down, maps from the bottom up.
  function paint(data, columns, rows) {
    const shades = bytes(data.shades);
    const palette = bytes(data.palette);
    const image = new ImageData(columns, rows);
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1) {
        const to = 4 * ((rows - 1 - row) * columns + column);
        const from = 3 * shades[row * columns + column];
        image.data.set(palette.subarray(from, from + 3), to);
        image.data[to + 3] = 255;
      }
    }
    const picture = document.createElement("canvas");
    picture.width = columns;
    picture.height = rows;
    picture.getContext("2d").putImageData(image, 0, 0);
    return picture;
  }

  document.querySelectorAll("figure.raster").forEach(explore);
})();

// The element that explore() makes. Python fills in its name and its style; the data is in data-study.
(() => {
  if (customElements.get("__TAG__")) return;

  const W = 420,
    H = 270,
    LEFT = 52,
    RIGHT = 12,
    TOP = 12,
    BOTTOM = 42; // both pictures, in their own units
  const MIDDLE = 122,
    HALF = 106; // of the network: where its axis lies, and half of its greatest height
  const SIDEWAYS = 6; // pixels that a finger moves before it drags the point
  const REACH = { mouse: 12, pen: 16, touch: 24 }; // how far from a mark a pointer may be and mean it

  const escape = text => text.replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`);
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const percent = share => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
  const count = (n, one) => `${n.toLocaleString("en")} ${one}${n == 1 ? "" : "s"}`;
  const option = (value, name) => `<option value="${escape(`${value}`)}">${escape(name)}</option>`;

  function short(value) {
    // 109284 as 109k
    const power = value ? clamp(Math.floor(Math.log10(Math.abs(value)) / 3), 0, 6) : 0;
    return `${+(value / 1000 ** power).toPrecision(3)}${["", "k", "M", "G", "T", "P", "E"][power]}`;
  }

  function ticks(low, high) {
    // about five round numbers
    const rough = (high - low) / 5,
      ten = 10 ** Math.floor(Math.log10(rough));
    const step = ten * [1, 2, 2.5, 5, 10].find(n => n * ten >= rough),
      found = [];
    for (let n = Math.ceil(low / step - 1e-9); n * step <= high * (1 + 1e-9); n++) found.push(n * step);
    return found;
  }

  // A pruning run, with the widths after every round: its data has one number a round.
  class Run {
    constructor(data) {
      Object.assign(this, data);
      this.last = this.gone.length;
      this.history = [Uint16Array.from(this.widths)];
      for (const gone of this.gone) {
        const left = this.history.at(-1).slice();
        for (const [group, channels] of Array.isArray(gone) ? gone : [[gone, 1]])
          if (group >= 0) left[group] -= channels;
        this.history.push(left);
      }
    }

    has(key) {
      return key == "round" || (this[key].rounds ?? this[key]).length > 0;
    }

    // What was measured at some rounds only has a value at every round: on the line that joins its neighbours.
    at(key, round) {
      if (key == "round") return { value: round, exact: true };
      const { rounds, values } = this[key];
      if (!rounds) return { value: this[key][round], exact: true };
      if (!rounds.length) return {};
      const found = rounds.findIndex(r => r >= round),
        after = found < 0 ? rounds.length - 1 : found;
      const before = rounds[after] <= round ? after : Math.max(0, after - 1),
        span = rounds[after] - rounds[before];
      const way = span ? (round - rounds[before]) / span : 0;
      return {
        value: values[before] + way * (values[after] - values[before]),
        exact: rounds[before] == round,
      };
    }

    removed(round) {
      if (!round) return "nothing (round 0: fine-tuned only)";
      const gone = this.gone[round - 1],
        saliency = this.saliency[round - 1];
      const score =
        Math.abs(saliency) < 0.01 ? saliency?.toExponential(2).replace("-", "−") : saliency?.toPrecision(3);
      const weights = this.params[round - 1] - this.params[round];
      if (gone === -1) return weights ? `${count(weights, "single weight")}, no channels` : "no channel";
      if (!Array.isArray(gone))
        return `channel ${this.channel[round - 1]} of group ${this.groups[gone]}, saliency ${score}`;
      const total = gone.reduce((sum, [, channels]) => sum + channels, 0);
      return `${count(total, "channel")} of ${count(gone.length, "group")}, saliencies up to ${score}`;
    }
  }

  customElements.define(
    "__TAG__",
    class extends HTMLElement {
      connectedCallback() {
        if (!this.shadowRoot) this.build();
        this.dataset.lmSuppressShortcuts = "true"; // JupyterLab leaves the keys to the slider
        this.adapt = this.adapt.bind(this);
        this.media = ["(prefers-color-scheme: dark)", "print"].map(query => matchMedia(query));
        for (const media of this.media) media.addEventListener("change", this.adapt);
        this.page = new MutationObserver(this.adapt);
        for (const root of [document.documentElement, document.body])
          this.page.observe(root, { attributes: true });
        this.adapt();
      }

      disconnectedCallback() {
        this.pause();
        for (const media of this.media) media.removeEventListener("change", this.adapt);
        this.page.disconnect();
      }

      adapt() {
        // whatever makes a page dark, its text is light then
        const [r, g, b] = getComputedStyle(this.parentElement ?? document.body)
          .color.match(/[\d.]+/g)
          .map(Number);
        const dark = 0.3 * r + 0.6 * g + 0.1 * b > 128;
        this.toggleAttribute("dark", dark);
        this.style.colorScheme = dark ? "dark" : "light";
        this.data.curves.forEach(({ colors }, i) => this.style.setProperty(`--curve-${i}`, colors[+dark]));
        this.paint();
      }

      paint() {
        // a run has its criterion's colour, and one of the same criterion beside it another
        const dark = +this.hasAttribute("dark"),
          [mine, theirs] = [this.run, this.besideRun()].map(run => run?.colors[dark]);
        this.style.setProperty("--pruned", mine);
        this.style.setProperty("--beside", theirs == mine ? "" : theirs ?? "");
      }

      besideRun() {
        return this.runs[this.$beside.value.match(/^run (\d+)/)?.[1]];
      }

      build() {
        this.data = JSON.parse(this.dataset.study);
        this.data.curves.forEach((look, i) => (look.color = `var(--curve-${i})`));
        this.runs = this.data.runs.map(run => new Run(run));
        this.found = {};
        const runs = this.runs.map((run, i) => option(i, run.name)).join("");
        const axes = this.data.axes.map(([key, name]) => option(key, name)).join("");
        const picture = name =>
          `<figure><svg class="${name}" viewBox="0 0 ${W} ${H}" role="img"></svg><figcaption></figcaption></figure>`;
        this.attachShadow({ mode: "open" }).innerHTML = `<style>__STYLE__</style>
        <div class="row"><button type="button">▶ Play</button>
          <output></output><input type="range" min="0" step="1" aria-label="round"></div>
        <div class="row">
          <label ${this.runs.length > 1 ? "" : "hidden"}>pruning by <select class="run">${runs}</select></label>
          <label>beside it <select class="beside"></select></label>
          <label>against <select class="axis">${axes}</select></label></div>
        <div class="pictures">${picture("shape")}${picture("curve")}</div><dl></dl>`;
        const parts = {
          button: "button",
          slider: "input",
          round: "output",
          run: ".run",
          beside: ".beside",
          axis: ".axis",
          shape: ".shape",
          said: ".shape + figcaption",
          curve: ".curve",
          key: ".curve + figcaption",
          numbers: "dl",
        };
        for (const [name, selector] of Object.entries(parts))
          this["$" + name] = this.shadowRoot.querySelector(selector);
        this.$slider.addEventListener("input", () => {
          this.pause();
          this.show();
        });
        this.$slider.addEventListener("pointerdown", () => (this.before = this.$slider.value));
        this.$slider.addEventListener("pointercancel", () => {
          this.$slider.value = this.before; // the finger scrolls the page
          this.show();
        });
        this.$button.addEventListener("click", () => (this.playing ? this.pause() : this.play()));
        this.$run.addEventListener("change", () => this.choose(+this.$slider.value));
        // a pointer that rests on a mark does not overrule the menu
        for (const select of [this.$beside, this.$axis])
          select.addEventListener("change", () => {
            this.hovered = null;
            this.draw();
          });
        this.$curve.addEventListener("pointermove", event => this.point(event));
        this.$curve.addEventListener("pointerdown", event => this.press(event));
        this.$curve.addEventListener("pointerup", event => this.finger && this.take(event));
        this.$curve.addEventListener("pointercancel", () => (this.finger = this.dragging = null)); // it scrolls
        this.$curve.addEventListener("pointerleave", () => this.preview(null));
        this.choose(this.data.start);
      }

      choose(round) {
        // the run that the slider moves through
        this.pause();
        this.run = this.runs[this.$run.value];
        this.$slider.max = this.run.last;
        this.$slider.value = round;
        this.networks = this.data.networks
          .map((network, id) => ({ ...network, id: `network ${id}`, look: this.data.curves[network.curve] }))
          .filter(({ look }) => !look.criterion || look.criterion == this.run.criterion)
          .filter(({ same }, i, all) => all.findIndex(network => network.same == same) == i);
        this.seeds = new Set(this.networks.map(network => network.seed)).size;
        const group = (name, options) =>
          options.length ? `<optgroup label="${escape(name)}">${options.join("")}</optgroup>` : "";
        const others = this.runs
          .map((run, i) => (run == this.run ? "" : option(`run ${i}`, run.name)))
          .filter(Boolean);
        const of = look =>
          this.networks
            .filter(network => network.look == look)
            .map(network => option(network.id, this.called(network)));
        const kept = this.$beside.value;
        this.$beside.innerHTML =
          option("", "nothing") +
          group("pruning by", others) +
          this.data.curves.map(look => group(look.name, of(look))).join("");
        this.$beside.value = kept;
        if (this.$beside.selectedIndex < 0) this.$beside.value = "";
        this.draw();
      }

      called({ look, params, seed, longer }) {
        return `${look.name}: ${params.toLocaleString("en")}${this.seeds > 1 ? `, seed ${seed}` : ""}${longer > 1 ? ", trained longer" : ""}`;
      }

      // What is beside the run: another run, at the round that is nearest on the axis; a network; or nothing.
      other(round) {
        const id = this.hovered ?? this.$beside.value,
          network = this.networks.find(network => network.id == id);
        if (network) return { network };
        const run = this.runs[id.split(" ")[1]];
        if (!run) return {};
        const axis =
          this.run.has(this.$axis.value) && run.has(this.$axis.value) ? this.$axis.value : "params";
        return { run, round: this.nearest(this.places(run, axis), this.places(this.run, axis)[round]) };
      }

      places(run, axis = this.$axis.value) {
        // of every round
        const found = (this.found[axis] ??= new Map());
        if (!found.has(run))
          found.set(
            run,
            run.history.map((_, round) => run.at(axis, round).value),
          );
        return found.get(run);
      }

      nearest(places, wanted) {
        const far = places.map(place => Math.abs(place - wanted));
        return far.indexOf(Math.min(...far));
      }

      draw() {
        // the curves, and then what moves with the slider
        const axis = this.$axis.value,
          beside = this.besideRun();
        this.paint();
        const runs = [this.run, beside].filter(run => run?.has(axis)),
          networks = this.networks.filter(network => network[axis] != null);
        this.scale(runs, networks);
        const course = run =>
          run.error.rounds.map(
            (round, i) =>
              `${this.x(this.places(run)[round]).toFixed(1)},${this.y(run.error.values[i]).toFixed(1)}`,
          );
        const dotted = run => run.error.rounds.length < 60; // more would touch one another
        const mark = ({
          id,
          look,
          seed,
          longer,
          error,
          ...network
        }) => `<path class="network ${seed == this.run.seed ? "" : "seed"}
        ${longer > 1 ? "longer" : ""}" data-id="${id}" d="${look.marker}" fill="${look.color}" color="${look.color}"
        transform="translate(${this.x(network[axis]).toFixed(1)},${this.y(error).toFixed(1)}) scale(5)"/>`;
        const name = this.$axis.selectedOptions[0].text;
        this.$curve.innerHTML =
          this.grid(name) +
          runs
            .map(run => {
              const style = run == beside ? "beside" : "",
                places = course(run);
              return (
                `<path class="course ${style}" d="M${places.join("L")}"/>` +
                (dotted(run)
                  ? `<path class="measured ${style}" d="${places.map(place => `M${place}h0`).join("")}"/>`
                  : "")
              );
            })
            .join("") +
          networks.map(mark).join("") +
          `<circle class="at beside" r="6"/><circle class="at" r="7"/>`;
        const key = (
          marker,
          color,
          name,
        ) => `<span><svg class="key" viewBox="-1.2 -1.2 2.4 2.4" aria-hidden="true">
        <path d="${marker}" fill="${color}"/></svg> ${escape(name)}</span>`;
        this.$key.innerHTML =
          runs
            .map(run =>
              key(
                "M-1,-.3H1V.3H-1Z",
                `var(--${run == beside ? "beside" : "pruned"})`,
                `pruned by ${run.name}`,
              ),
            )
            .join("") +
          [...new Set(networks.map(network => network.look))]
            .map(look => key(look.marker, look.color, look.name))
            .join("") +
          (runs.some(dotted) ? "<span>dots: measured rounds</span>" : "") +
          (networks.some(network => network.longer > 1) ? "<span>hollow: trained longer</span>" : "") +
          (networks.some(network => network.seed != this.run.seed) ? "<span>faint: other seeds</span>" : "") +
          (this.cut ? `<span>on the top edge: errors above ${short(this.ends[3])} %</span>` : "");
        this.drawn = null;
        this.show();
      }

      // The last ruins of a pruning run are cut off, or they would flatten everything else.
      scale(runs, networks) {
        const axis = this.$axis.value,
          costs = [...runs.flatMap(run => this.places(run)), ...networks.map(network => network[axis])];
        const least = Math.min(...costs),
          to = Math.max(...costs),
          from = least > to / 2 || axis.startsWith("latency") ? least : 0;
        const side = 0.05 * (to - from) || 1;
        const errors = networks.map(network => network.error),
          all = [...errors, ...runs.flatMap(run => run.error.values)];
        const lowest = Math.min(...all),
          usual = Math.max(...errors, ...runs.map(run => run.error.values[0]));
        const highest = errors.length
          ? Math.min(Math.max(...all), lowest + 2 * (usual - lowest))
          : Math.max(...all);
        const air = 0.08 * (highest - lowest) || 1;
        this.ends = [from && from - side, to + side, Math.max(0, lowest - air), highest + air];
        const [left, right, bottom, top] = this.ends;
        this.cut = all.some(error => error > top);
        this.x = value => LEFT + ((W - LEFT - RIGHT) * (value - left)) / (right - left);
        this.y = value =>
          H - BOTTOM - ((H - BOTTOM - TOP) * (clamp(value, bottom, top) - bottom)) / (top - bottom);
      }

      grid(name) {
        const [left, right, bottom, top] = this.ends,
          line = (style, y) => `<line class="${style}" x1="${LEFT}" x2="${W - RIGHT}" y1="${y}" y2="${y}"/>`;
        const errors = ticks(bottom, top).map(
          v =>
            `${line("grid", this.y(v))}<text x="${LEFT - 6}" y="${this.y(v) + 4}" text-anchor="end">${short(v)}</text>`,
        );
        const costs = ticks(left, right).map(
          v => `<text x="${this.x(v)}" y="${H - BOTTOM + 16}" text-anchor="middle">${short(v)}</text>`,
        );
        return (
          [...errors, ...costs, line("zero", H - BOTTOM)].join("") +
          `<text x="${(LEFT + W - RIGHT) / 2}" y="${H - 6}" text-anchor="middle">${escape(name)}</text>
          <text transform="translate(12,${(H - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">test error (%)</text>`
        );
      }

      // The bars of the network: above its axis what pruning left, below it what is beside, else the same again.
      bars({ network, run: beside }) {
        const { run } = this,
          drawn = network ?? beside ?? run;
        if (this.drawn == drawn) return;
        this.drawn = drawn;
        const mine = run.widths,
          theirs = network ? this.data.architectures[network.architecture] : drawn.widths;
        this.unit = HALF / Math.max(...mine, ...theirs);
        const half = (widths, style, above) =>
          widths
            .map((width, i) => {
              const step = (W - 20) / widths.length,
                high = width * this.unit;
              const place = `x="${(10 + i * step).toFixed(1)}" width="${(0.75 * step).toFixed(1)}"`;
              const whole = `<rect class="whole" ${place} y="${above ? MIDDLE - high : MIDDLE}" height="${high}"/>`;
              return (network && !above ? "" : whole) + `<rect class="${style}" ${place} y="${MIDDLE}"/>`;
            })
            .join("");
        // Names that do not fit in one row are on two, and where there are more, only every few have a place.
        const letters = run.groups.length * (1 + Math.max(...run.groups.map(name => name.length)));
        const rows = letters > 56 && letters <= 112 ? 2 : 1,
          every = rows > 1 ? 1 : Math.ceil(letters / 56);
        const step = (W - 20) / run.groups.length,
          [offset, anchor] = every > 1 ? [0, "start"] : [0.375, "middle"];
        const names = run.groups.map((name, i) =>
          i % every || i + every > run.groups.length
            ? ""
            : `<text class="group" x="${10 + (i + offset) * step}" y="${rows > 1 ? H - 31 + 12 * (i % 2) : H - 24}" text-anchor="${anchor}">${escape(name)}</text>`,
        );
        this.$shape.innerHTML =
          half(mine, "left", true) +
          half(theirs, "other", false) +
          names.join("") +
          `<line class="zero" x1="10" x2="${W - 10}" y1="${MIDDLE}" y2="${MIDDLE}"/><rect class="lost"/>
          <text x="${W / 2}" y="${H - (rows > 1 ? 5 : 6)}" text-anchor="middle">channels of each group, in the order of the forward pass</text>`;
        this.upper = [...this.$shape.querySelectorAll(".left")];
        this.lower = [...this.$shape.querySelectorAll(".other")];
        const color = network ? network.look.color : beside ? "var(--beside)" : "";
        this.style.setProperty("--color", color || "var(--pruned)");
        for (const rect of this.lower) rect.classList.toggle("mirror", !color);
      }

      show() {
        // what moves with the slider
        const { run } = this,
          round = +this.$slider.value,
          other = this.other(round),
          left = run.history[round];
        this.bars(other);
        const below = other.network
          ? this.data.architectures[other.network.architecture]
          : (other.run ?? run).history[other.round ?? round];
        this.upper.forEach((rect, i) => {
          rect.setAttribute("height", left[i] * this.unit);
          rect.setAttribute("y", MIDDLE - left[i] * this.unit);
        });
        this.lower.forEach((rect, i) => rect.setAttribute("height", below[i] * this.unit));
        this.frame(run.gone[round - 1]);
        const [theirs, mine] = this.$curve.querySelectorAll("circle");
        this.place(mine, run, round);
        this.place(theirs, other.run, other.round);
        for (const mark of this.$curve.querySelectorAll(".network"))
          mark.classList.toggle("shown", mark.dataset.id == other.network?.id);
        this.tell(round, other);
      }

      frame(group) {
        // round the group that lost its channel in this round
        const lost = this.$shape.querySelector(".lost"),
          bar = this.upper[group];
        lost.setAttribute("visibility", bar ? "visible" : "hidden");
        if (!bar) return;
        const high = this.run.widths[group] * this.unit;
        const place = {
          x: +bar.getAttribute("x") - 2,
          width: +bar.getAttribute("width") + 4,
          y: MIDDLE - high - 2,
          height: high + 2,
        };
        for (const [name, value] of Object.entries(place)) lost.setAttribute(name, value);
      }

      place(circle, run, round) {
        const there = run?.has(this.$axis.value);
        circle.setAttribute("visibility", there ? "visible" : "hidden");
        if (!there) return;
        const { value, exact } = run.at("error", round);
        circle.setAttribute("cx", this.x(this.places(run)[round]));
        circle.setAttribute("cy", this.y(value));
        circle.classList.toggle("between", !exact);
      }

      facts(get, removed) {
        // by name, of one network
        const about = (key, unit, digits) => {
          const { value, exact } = get(key);
          return value == null ? "not timed" : `${exact ? "" : "about "}${value.toFixed(digits)} ${unit}`;
        };
        const params = get("params").value,
          latencies = this.data.axes.filter(([key]) => key.startsWith("latency"));
        return {
          parameters: `${params.toLocaleString("en")} (${percent(params / this.run.params[0])})`,
          "MACs per image": short(get("macs").value),
          "compute so far": `${short(get("train_macs").value)} MACs`,
          "test error": about("error", "%", 1),
          ...Object.fromEntries(
            latencies.map(([key, name]) => [name.replace(" (ms)", ""), about(key, "ms", 2)]),
          ),
          "removed last": removed,
        };
      }

      tell(round, { network, run: beside, round: nearest }) {
        const { run } = this,
          of = (run, round) =>
            this.facts(key => (run.has(key) ? run.at(key, round) : {}), run.removed(round));
        const mine = of(run, round),
          name = network ? this.called(network) : beside ? `${beside.name}, round ${nearest}` : "";
        const theirs = network
          ? this.facts(key => ({ value: network[key], exact: true }), "—")
          : beside && of(beside, nearest);
        this.$numbers.innerHTML = Object.entries(mine)
          .map(
            ([name, text]) =>
              `<div><dt>${escape(name)}</dt><dd>${escape(text)}</dd>${
                theirs ? `<dd class="two">${escape(theirs[name])}</dd>` : ""
              }</div>`,
          )
          .join("");
        const where = `${round.toLocaleString("en")} of ${run.last.toLocaleString("en")}`;
        this.$round.textContent = `round ${where}`;
        this.$said.innerHTML = name
          ? `<span>above: ${escape(run.name)}, round ${round}</span><span>below: ${escape(name)}</span>`
          : "<span class=hint>Point at a network on the curves, or choose one, to see it here.</span>";
        const sizes = facts => `${facts.parameters} parameters, test error ${facts["test error"]}`;
        const words =
          `round ${where}: ${sizes(mine)}; removed last: ${mine["removed last"]}` +
          (name ? `; beside it ${name}: ${sizes(theirs)}` : "");
        this.$slider.setAttribute("aria-valuetext", words);
        const groups = run.groups.map((group, i) => `${group}: ${run.history[round][i]} of ${run.widths[i]}`);
        this.$shape.setAttribute("aria-label", `channels left in each group: ${groups.join(", ")}`);
        this.$curve.setAttribute(
          "aria-label",
          `test error against ${this.$axis.selectedOptions[0].text}; ${words}`,
        );
      }

      play() {
        const { last } = this.run,
          pace = last / clamp(40 * last, 4000, 15000); // rounds a millisecond
        if (+this.$slider.value == last) this.$slider.value = 0;
        const first = +this.$slider.value;
        let began;
        const step = now => {
          const round = Math.min(last, Math.round(first + pace * (now - (began ??= now))));
          this.playing = requestAnimationFrame(step);
          if (round != +this.$slider.value) {
            this.$slider.value = round;
            this.show();
          }
          if (round == last) this.pause();
        };
        this.playing = requestAnimationFrame(step);
        this.$button.textContent = "❚❚ Pause";
      }

      pause() {
        cancelAnimationFrame(this.playing);
        this.playing = null;
        this.$button.textContent = "▶ Play";
      }

      preview(id) {
        // the network under the pointer
        if (id == this.hovered) return;
        this.hovered = id;
        this.show();
      }

      under(event) {
        // the nearest network, and where on the axis
        const box = this.$curve.getBoundingClientRect(),
          axis = this.$axis.value;
        const x = ((event.clientX - box.left) * W) / box.width,
          y = ((event.clientY - box.top) * W) / box.width;
        let id = null,
          least = REACH[event.pointerType] ?? 12;
        for (const network of this.networks) {
          const far =
            network[axis] == null
              ? Infinity
              : Math.hypot(this.x(network[axis]) - x, this.y(network.error) - y);
          if (far < least) [id, least] = [network.id, far];
        }
        return { id, x };
      }

      point(event) {
        const { id, x } = this.under(event);
        if (this.finger && Math.abs(event.clientX - this.finger.clientX) > SIDEWAYS) {
          this.finger = null;
          this.dragging = true;
        }
        if (this.dragging && event.buttons) this.moveTo(x);
        else if (event.pointerType != "touch") this.preview(id);
      }

      press(event) {
        // A finger may be about to scroll the page: what counts is a move sideways, or a tap.
        this.finger = event.pointerType == "touch" ? event : null;
        this.dragging = false;
        if (!this.finger) this.take(event);
      }

      take(event) {
        // a network stays beside the run, and goes when it is pressed again; else the slider moves there
        const { id, x } = this.under(event);
        this.finger = null;
        this.dragging = !id;
        if (!id) {
          this.$curve.setPointerCapture(event.pointerId);
          return this.moveTo(x);
        }
        this.$beside.value = this.$beside.value == id ? "" : id;
        this.hovered = null;
        this.draw();
      }

      moveTo(x) {
        if (!this.run.has(this.$axis.value)) return;
        this.pause();
        this.hovered = null;
        this.$slider.value = this.nearest(this.places(this.run).map(this.x), x);
        this.show();
      }
    },
  );
})();

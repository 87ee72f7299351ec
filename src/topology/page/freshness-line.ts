import type { BrowserClock } from "./browser.ts";
import { byId, setShown, setText } from "./element.ts";
import type { Freshness } from "./feed.ts";
import { patchMark } from "./rows.ts";
import type { Mark } from "./state.ts";
import { durationText } from "./times.ts";

const TICK_MS = 1_000;
const LIVE: Mark = { glyph: "●", word: "Live", tone: "ok" };
const LOST: Mark = { glyph: "▲", word: "No answer", tone: "bad" };

/** Whether what is shown is true now, and how old it is if not. It is said aloud only when that changes. */
export class FreshnessLine {
  readonly #clock: BrowserClock;
  #freshness: Freshness | undefined;

  constructor(clock: BrowserClock) {
    this.#clock = clock;
    this.#tick();
  }

  show(freshness: Freshness): void {
    this.#freshness = freshness;
    const { live, why, answeredMs } = freshness;
    patchMark(byId("freshness"), live ? LIVE : LOST);
    document.body.classList.toggle("old", !live);
    setShown(byId("lost"), !live);
    const known = answeredMs === undefined ? "Nothing was heard of it yet" : "What is shown is what it said last";
    if (!live) setText(byId("lost"), `The control plane does not answer: ${why.replace(/\.$/, "")}. ${known}.`);
    this.#age();
  }

  #age(): void {
    const { answeredMs, live } = this.#freshness ?? {};
    if (answeredMs === undefined) return;
    const age = durationText(this.#clock.now() - answeredMs);
    setText(byId("age"), live === true ? `updated ${age} ago` : `${age} old`);
  }

  #tick(): void {
    this.#age();
    this.#clock.after(TICK_MS, () => this.#tick());
  }
}

/** The machine of a page, which has no Host: the only file here that asks the browser for time. */
export interface BrowserClock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Runs `task` once; the answer takes that back. */
  after(delayMs: number, task: () => void): () => void;
}

export const browserClock: BrowserClock = {
  now: () => Date.now(),
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs);
    return () => clearTimeout(timer);
  },
};

/** The question itself was refused, by somebody who answers. */
export class Refused extends Error {
  override readonly name = "Refused";
}

/** What is asked of the control plane that served this page. @throws Refused with its sentence, or what the browser says. */
export async function askPlane(path: string, limitMs: number): Promise<unknown> {
  const answer = await fetch(path, { signal: AbortSignal.timeout(limitMs), redirect: "error" });
  const text = await answer.text();
  if (answer.ok) return JSON.parse(text) as unknown;
  const said = text.trim().slice(0, 1_000);
  throw answer.status < 500 ? new Refused(said) : new Error(said);
}

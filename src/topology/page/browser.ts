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

/** What is asked of the control plane that served this page. @throws Error with its own sentence, or the browser's. */
export async function askPlane(path: string, limitMs: number): Promise<unknown> {
  const answer = await fetch(path, { signal: AbortSignal.timeout(limitMs), redirect: "error" });
  const text = await answer.text();
  if (!answer.ok) throw new Error(text.trim().slice(0, 1_000));
  return JSON.parse(text) as unknown;
}

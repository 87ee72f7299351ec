import type { Log, Logger, Metrics } from "../../../src/host.ts";

const nothing = (): void => {};

/** Of the lines that a simulation of many minutes would write by the thousand only those that tell of a defect. */
export function defectsOnly(onDefect: (message: string) => void): Log {
  const error: Logger["error"] = (message, fields) => onDefect(`${message} ${JSON.stringify(fields ?? {})}`);
  const logger: Logger = { enabled: (level) => level === "error", debug: nothing, info: nothing, warn: nothing, error };
  return { scope: () => logger };
}

export const noMetrics: Metrics = {
  counter: () => ({ add: nothing, remove: nothing }),
  gauge: () => ({ set: nothing, remove: nothing }),
  histogram: () => ({ observe: nothing, remove: nothing }),
};

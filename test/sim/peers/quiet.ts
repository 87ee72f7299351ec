import type { Log, Logger, Metrics } from "../../../src/host.ts";

const nothing = (): void => {};
const logger: Logger = { enabled: () => false, debug: nothing, info: nothing, warn: nothing, error: nothing };

/** Lines that a simulation of many minutes would write by the thousand. */
export const noLog: Log = { scope: () => logger };
export const noMetrics: Metrics = {
  counter: () => ({ add: nothing, remove: nothing }),
  gauge: () => ({ set: nothing, remove: nothing }),
  histogram: () => ({ observe: nothing, remove: nothing }),
};

import type { Host } from "../src/host.ts";
import { parseLogLevels } from "../src/log-levels.ts";
import { systemHost } from "../src/system-host.ts";

/** The real host, with a log that says nothing: what a control plane in production pays for metrics is paid here too. */
export const quietHost = (): Host => systemHost({ logLevels: parseLogLevels("bench", "none"), logAsJson: false });

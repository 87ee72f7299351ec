import { AdminServer } from "../../src/admin.ts";
import { DebugPages } from "../../src/debug-page.ts";
import { parseLogLevels } from "../../src/log-levels.ts";
import { LogScopes } from "../../src/log.ts";
import { PrometheusMetrics } from "../../src/prometheus.ts";
import { systemClock } from "../../src/system-host.ts";

/** An admin port whose debug pages say this. */
export interface ServedPages extends AsyncDisposable {
  readonly url: string;
}

/** @param pages by name, as `trustz`. */
export async function servedPages(pages: Readonly<Record<string, unknown>>): Promise<ServedPages> {
  const log = new LogScopes({ now: () => 0, write: () => {} }, parseLogLevels("test", "info"));
  const served = new DebugPages(
    Object.entries(pages).map(([name, value]) => ({ name, help: "", render: () => value })),
  );
  const admin = new AdminServer(
    { clock: systemClock, log, metrics: new PrometheusMetrics() },
    { address: "127.0.0.1", healthPort: 0, adminPort: 0, checks: () => [], pages: () => served },
  );
  await admin.start();
  return { url: `http://127.0.0.1:${admin.adminPort}`, [Symbol.asyncDispose]: () => admin.close() };
}

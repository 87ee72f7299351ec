import type { CommandCall } from "../command.ts";
import { messageOf } from "../errors.ts";
import type { Clock, EpochMs } from "../host.ts";
import type { DrillTarget } from "../linking/drill-objects.ts";
import { nameOf } from "../linking/side.ts";
import { askDrains } from "./drill-request.ts";
import type { DrillView } from "./drill-view.ts";
import type { OpenSide } from "./link-tools.ts";

const EVERY_MS = 1_000;

/** Prints, each second, who has which share of what can be called; until the drill is over, or somebody stops it. */
export async function watchDrill(
  clock: Clock,
  call: CommandCall,
  sides: readonly OpenSide[],
  target: DrillTarget,
  untilMs: EpochMs,
): Promise<void> {
  while (!call.signal.aborted && clock.now() < untilMs) {
    for (const open of sides) {
      const shares = await askDrains(open, target, call).then(sharesText, messageOf);
      if (call.signal.aborted) return;
      call.printer.out(`${leftText(untilMs - clock.now())}  ${nameOf(open.side)}: ${shares}\n`);
    }
    await pause(clock, Math.max(0, Math.min(EVERY_MS, untilMs - clock.now())), call.signal);
  }
}

/** Of all services that the drill is about: the capacity of those that calls from there end at. */
export function sharesText({ services }: DrillView): string {
  const ready = new Map<string, number>();
  for (const { clusters } of services)
    for (const share of clusters)
      ready.set(share.cluster, (ready.get(share.cluster) ?? 0) + (share.called ? share.ready : 0));
  const all = [...ready.values()].reduce((sum, each) => sum + each, 0);
  if (all === 0) return "nothing ready can be called";
  return [...ready].map(([cluster, each]) => `${cluster} ${Math.round((100 * each) / all)} %`).join(", ");
}

function leftText(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, "0")}s left`;
}

function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.after(ms, done);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}

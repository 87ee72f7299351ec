import type { Forecast } from "./forecast.ts";
import { listText, readyText } from "./names-seen.ts";
import type { Pair } from "./side.ts";
import type { Told } from "./told.ts";
import { namesKnown, readinessKnown } from "./unread.ts";

/** What a reader would have of one peer: for each service that is shared its names, how many are ready, and a verdict. */
export interface ToldTable {
  readonly title: string;
  readonly rows: readonly (readonly [service: string, names: string, ready: string, verdict: string])[];
}

/** One for each pair of clusters that both have an ID. */
export function toldTables(
  plans: readonly { readonly pair: Pair }[],
  forecasts: readonly Forecast[],
): readonly ToldTable[] {
  return plans.flatMap(({ pair: { reader, peer } }): readonly ToldTable[] => {
    const forecast = forecasts.find(({ side }) => side === reader);
    if (forecast === undefined || peer.cluster === undefined || !namesKnown(peer)) return [];
    const told = forecast.told.filter((each) => each.peer === peer.cluster);
    const taken = told.filter(({ cause }) => cause === undefined).length;
    const what =
      told.length === 0
        ? `nothing, as ${peer.cluster} shares no service`
        : `${taken === told.length ? `${taken}` : `${taken} of ${told.length}`} ${told.length === 1 ? "service" : "services"} that ${peer.cluster} shares`;
    return [
      {
        title: `${reader.cluster} would read of ${peer.cluster}: ${what}`,
        rows: told.map((each) => [
          `  ${each.service}`,
          each.names.join(", ") || "-",
          readyText({ endpoints: each.endpoints, healthy: each.ready }, readinessKnown(peer)),
          verdictOf(each, forecast),
        ]),
      },
    ];
  });
}

/** For machines. */
export const toldView = (told: Told, forecast: Forecast): object => ({ ...told, verdict: verdictOf(told, forecast) });

/** What becomes of it, in as many words as fit a column. */
function verdictOf({ service, peer, names, cause }: Told, { side, before, after }: Forecast): string {
  if (cause !== undefined) {
    const where = cause.cluster === side.cluster ? "" : ` of ${cause.cluster}`;
    return `${cause.reason}: ${cause.object}${where}`;
  }
  const key = `${service.slice(0, service.indexOf("/"))}/${names[0]}`;
  if (before.names.get(key)?.ends.has(peer) === true) return "as today";
  // What else it has under that name nobody told.
  if (side.offered === true) return "shared";
  const others = [...(after.names.get(key)?.ends.keys() ?? [])].filter((cluster) => cluster !== peer);
  return others.length === 0 ? "new" : `joins ${listText(others)}`;
}

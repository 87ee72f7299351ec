import type { TopologyDrain, TopologyDrained } from "../topology.ts";
import type { Column, Row } from "./rows.ts";
import { drainMark } from "./state.ts";
import { dateText, durationText } from "./times.ts";

export const DRAIN_COLUMNS: readonly Column[] = [
  { name: "Drain", width: "l" },
  { name: "State", width: "s" },
  { name: "Ends", width: "m" },
  { name: "Left", width: "s" },
  { name: "What it means" },
];

export function drainRow(drain: TopologyDrain, now: number): Row {
  const { object, cluster, service, until, message } = drain;
  const left = Date.parse(until) - now;
  return {
    key: object,
    cells: [
      { text: service === "" ? `all of peer ${cluster}` : service, note: object },
      { mark: drainMark(drain) },
      { text: dateText(until) },
      { text: left > 0 ? durationText(left) : "over", number: true },
      { text: message },
    ],
  };
}

/** In a few words, beside what it is about; empty if there is none. */
export function drainText(drain: TopologyDrained | null): string {
  if (drain === null) return "";
  const until = dateText(drain.until);
  if (drain.state === "leaving") return `leaving, to be drained until ${until}`;
  if (drain.state === "spared") return `spared, to be drained until ${until}`;
  return `drained until ${until}`;
}

export function drainSentence(drain: TopologyDrained | null): string {
  const text = drainText(drain);
  return text === "" ? "" : `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}

/** Of a peer; none is longer than a day, so the hour says enough. */
export const drainShortly = ({ state, until }: TopologyDrained): string =>
  `${state} until ${dateText(until).slice(11)}`;

import type { Environment, Terminal } from "./command.ts";

/** A stream of the process. */
interface Stream {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Of a terminal that does not say how wide it is. */
const COLUMNS = 80;

/** What the streams of a process and its environment say of where its words are read. */
export function terminalOf(out: Stream, err: Stream, { NO_COLOR = "", TERM = "" }: Environment): Terminal {
  // It shows what it is sent, line by line: neither colour nor a line that is taken back.
  const dumb = TERM === "dumb";
  return {
    columns: out.isTTY === true ? widthOf(out) : undefined,
    colour: out.isTTY === true && !dumb && NO_COLOR === "",
    progressColumns: err.isTTY === true && !dumb ? widthOf(err) : undefined,
  };
}

/** Serial lines and some containers say 0. */
const widthOf = ({ columns = 0 }: Stream): number => (columns > 0 ? columns : COLUMNS);

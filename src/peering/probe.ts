import { connect } from "node:net";
import type { Clock } from "../host.ts";

/** A way to another network that takes longer than this is as good as closed. */
const CONNECT_MS = 3_000;

/** A place that takes connections, or does not. */
export interface Door {
  /** An IP address, or a name. */
  readonly host: string;
  readonly port: number;
}

/** ⇄ Resolves to whether a TCP connection to `door` can be opened from here; nothing is said over it. Never rejects. */
export function takesConnections(clock: Clock, { host, port }: Door): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const done = (open: boolean): void => {
      timer[Symbol.dispose]();
      socket.destroy();
      resolve(open);
    };
    const timer = clock.after(CONNECT_MS, () => done(false));
    socket.once("connect", () => done(true));
    socket.once("error", () => done(false));
  });
}

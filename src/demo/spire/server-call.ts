import type { Role, SpireCaller } from "./caller.ts";

/** One method of the server: takes and gives encoded messages. */
export interface ServerMethod {
  /** As `/spire.api.server.svid.v1.SVID/MintX509SVID`. */
  readonly path: string;
  /** Who may call it. */
  readonly roles: readonly Role[];
  /** @throws CallError */
  call(request: Uint8Array, caller: SpireCaller): Promise<Uint8Array> | Uint8Array;
}

/** The last part of a path, as `MintX509SVID`. */
export const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

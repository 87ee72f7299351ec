import { MeshError, messageOf } from "../errors.ts";

export interface ListenAddress {
  /** An address of this machine, as `127.0.0.1` or `::`. */
  readonly address: string;
  /** 0 for any that is free. */
  readonly port: number;
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program has it; stop that program or choose another port",
  EACCES: "this user may not open it; choose a port above 1023",
  EADDRNOTAVAIL: "this machine does not have the address; choose one that it has",
  ENOTFOUND: "the name is not known; give an IP address of this machine",
};

/** Why a port cannot be had, in one sentence with what to do. */
export function listenError(what: string, { address, port }: ListenAddress, error: Error): MeshError {
  const code = "code" in error ? String(error.code) : "";
  const why = REASONS[code] ?? messageOf(error);
  return new MeshError("unavailable", `${what} cannot listen on ${address}:${port}: ${why}`, {}, { cause: error });
}

import { constants, type ServerHttp2Stream } from "node:http2";
import { MeshError } from "../errors.ts";
import type { Clock, Logger } from "../host.ts";
import type { SparseLog } from "../sparse-log.ts";
import type { StatusHeaders } from "./status.ts";

const HEADERS = { ":status": 200, "content-type": "application/grpc" } as const;

/** What each call has of its server. */
export interface Surroundings {
  readonly clock: Clock;
  readonly log: Logger;
  /** For what strangers can cause at will. */
  readonly strangers: SparseLog;
  /** ServerLimits.flushMs */
  readonly flushMs: number;
}

/** Answers what is not gRPC. */
export function respondHttp(stream: ServerHttp2Stream, status: number): void {
  if (!isOver(stream)) stream.respond({ ":status": status }, { endStream: true });
}

/** Sends the headers of an answer whose status follows as trailers. */
export function respondHeaders(stream: ServerHttp2Stream): void {
  if (isOver(stream) || stream.headersSent) return;
  stream.respond({ ...HEADERS }, { waitForTrailers: true });
}

/** Ends a call before its headers: the status takes their place. */
export function respondStatus(stream: ServerHttp2Stream, status: StatusHeaders): void {
  if (isOver(stream) || stream.headersSent) return;
  stream.respond({ ...HEADERS, ...status }, { endStream: true });
  release(stream);
}

/** Ends a call whose headers are sent; for `wantTrailers`. */
export function sendTrailers(stream: ServerHttp2Stream, status: StatusHeaders): void {
  if (!isOver(stream)) stream.sendTrailers({ ...status });
}

/** The error of anything that a method threw. What no one foresaw is logged here, since the client learns nothing. */
export function errorOf(thrown: unknown, path: string, log: Logger): Error {
  if (thrown instanceof MeshError) return thrown;
  const error = thrown instanceof Error ? thrown : MeshError.from(thrown);
  log.error("a method failed in a way that nobody foresaw", { path, why: error.stack ?? error.message });
  return error;
}

/** Node throws if a stream is answered after the client has reset it. */
function isOver(stream: ServerHttp2Stream): boolean {
  return stream.destroyed || stream.closed;
}

/** Tells a client that still sends to stop, and forgets the stream (RFC 9113 8.1). Not before its status was sent. */
export function release(stream: ServerHttp2Stream): void {
  if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
}

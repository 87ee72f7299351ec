import { randomBytes } from "node:crypto";
import type { Random } from "./host.ts";

/** The machine's: a file of its own, as a thread that signs needs no more of a host. */
export const systemRandom: Random = {
  next: () => Math.random(),
  bytes: pooledBytes,
};

/** To ask the kernel costs as much for 4,096 bytes as for 16, and each certificate needs 16. */
const POOL_BYTES = 4096;
let pool = Buffer.alloc(0);

/** No byte is given out twice. */
function pooledBytes(length: number): Uint8Array {
  if (length > POOL_BYTES / 16) return randomBytes(length);
  if (pool.length < length) pool = randomBytes(POOL_BYTES);
  const bytes = Uint8Array.from(pool.subarray(0, length));
  pool.fill(0, 0, length);
  pool = pool.subarray(length);
  return bytes;
}

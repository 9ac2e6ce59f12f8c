// What an application does, by ioredis. Arguments: host, port, CA file or "", "cluster" or "single". Prints "ok".
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import assert from "node:assert/strict";

const [modules, host, port, ca, mode] = process.argv.slice(2);
const { Redis, Cluster } = createRequire(`${modules}/`)("ioredis");
const tls = ca ? { ca: readFileSync(ca) } : undefined;
const options = { host, port: Number(port), tls };

function open() {
  return mode === "cluster"
    ? new Cluster([{ host, port: Number(port) }], { redisOptions: { tls }, dnsLookup: (name, done) => done(null, name) })
    : new Redis(options);
}

const client = open();
await client.del("{t}n", "{t}l", "{t}m");
const piped = client.pipeline();
for (let n = 0; n < 500; n += 1) piped.incr("{t}n");
assert.equal((await piped.exec()).at(-1)[1], 500);
const done = await client.multi().set("{t}m", "1").incr("{t}m").get("{t}m").exec();
assert.deepEqual(done.map(([error, reply]) => [error, reply]), [[null, "OK"], [null, 2], [null, "2"]]);

const waiter = open();
const popped = waiter.blpop("{t}l", 30);
await client.rpush("{t}l", "a");
assert.deepEqual(await popped, ["{t}l", "a"]);

const subscriber = open();
const heard = new Promise((resolve) => subscriber.on("message", (channel, text) => resolve([channel, text])));
await subscriber.subscribe("{t}channel");
await client.publish("{t}channel", "hello");
assert.deepEqual(await heard, ["{t}channel", "hello"]);

const node = mode === "cluster" ? client.nodes("master")[0] : client;
let [cursor, found] = ["0", []];
do {
  const [next, keys] = await node.scan(cursor, "MATCH", "{t}*");
  [cursor, found] = [next, [...found, ...keys]];
} while (cursor !== "0");
assert.deepEqual([...new Set(found)].sort(), ["{t}m", "{t}n"]);
for (const one of [client, waiter, subscriber]) one.disconnect();
console.log("ok");

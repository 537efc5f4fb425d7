/* Optional: the browser checks the proof of the entry on this page, and says which steps it did.
   Without this file the page is complete; `dotenv audit verify` checks the same, and more. The
   formats are in docs/evidence.md. Nothing that was read is shown as text of its own but numbers and
   hashes. */

const PARTS = ["actor", "origin", "resource", "detail"];
const ED25519 = 1;
const WITHHELD = /^\{"leaf":"sha256:([0-9a-f]{64})"\}$/;
const box = document.querySelector("#check");
const encoder = new TextEncoder();
const encode = (text) => encoder.encode(text);
const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const short = (bytes) => `${hex(bytes).slice(0, 4)}…${hex(bytes).slice(-4)}`;
const number = new Intl.NumberFormat("en");

class Refused extends Error {}

function require(holds, message) {
  if (!holds) throw new Refused(message);
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function fromHex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

async function digest(name, ...parts) {
  return new Uint8Array(await crypto.subtle.digest(name, await new Blob(parts).arrayBuffer()));
}

const sha256 = (...parts) => digest("SHA-256", ...parts);
const node = (left, right) => sha256(Uint8Array.of(1), left, right);

/* The file of "Download proof": the line of the entry, its place, the path, the signed checkpoint. */
function read(proof) {
  const [, head, note] = /^(.*?)\n\n(.*)$/s.exec(proof) ?? [];
  const [version, extra, index, ...path] = (head ?? "").split("\n");
  const isProof = version === "c2sp.org/tlog-proof@v1" && extra?.startsWith("extra ");
  require(isProof && /^index (0|[1-9][0-9]{0,14})$/.test(index), "The proof does not have its form.");
  const [, text, signatures] = /^(.*\n)\n(.*)$/s.exec(note) ?? [];
  const [origin, size, root, end, ...more] = (text ?? "").split("\n");
  const isCheckpoint = /^[1-9][0-9]{0,14}$/.test(size) && end === "" && !more.length;
  require(isCheckpoint, "The checkpoint does not have its form.");
  return {
    line: new TextDecoder("utf-8", { fatal: true }).decode(fromBase64(extra.slice(6))),
    index: Number(index.slice(6)),
    path: path.map(fromBase64),
    checkpoint: { text, signatures, origin, size: Number(size), root: fromBase64(root) },
  };
}

/* The pieces of a line: leaf data, and the text of each part, which is a hash where it is redacted. */
function split(line) {
  const [first, ...rest] = line.split(",\t");
  const salted = rest.pop() ?? "";
  const names = PARTS.every((name, place) => rest[place]?.startsWith(`"${name}":`));
  require(first.startsWith('{"leaf":') && names && rest.length === 4, "The line does not have its form.");
  const { salt, salts } = JSON.parse(`{${salted}`);
  const parts = rest.map((piece, place) => piece.slice(PARTS[place].length + 3));
  return { leaf: first.slice('{"leaf":'.length), parts, salt, salts };
}

async function commitment(parts, salt, salts) {
  const all = salt && (await digest("SHA-512", encode("dotenv-audit-salts/v1\n"), fromHex(salt)));
  const found = await Promise.all(
    parts.map((part, place) => {
      if (part.startsWith('"sha256:')) return fromHex(part.slice(8, -1));
      const own = all ? all.slice(16 * place, 16 * place + 16) : fromHex(salts[place]);
      return sha256(Uint8Array.of(5, place), own, encode(part));
    }),
  );
  return sha256(Uint8Array.of(6), ...found);
}

function isSame(one, other) {
  if (typeof one !== "object" || one === null || typeof other !== "object" || other === null) return one === other;
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => isSame(one[name], other[name]));
}

/* What the page shows and what was sealed, as pairs; a part that is erased or redacted is left out. */
function pairs(shown, leaf, parts) {
  const [actor, origin, resource, detail] = parts.map((part) => (part.startsWith("{") ? JSON.parse(part) : null));
  const label = leaf.resource.label ?? resource?.label;
  const names = ["id", "action", "result", "interface", "seq", "resource_seq", "actor_seq"];
  const found = names.map((name) => [name, shown[name], leaf[name]]);
  for (const who of ["actor", "resource"]) {
    found.push([who, shown[who].type, leaf[who].type], [who, shown[who].id, leaf[who].id]);
  }
  if (actor) found.push(["actor", shown.actor.label, actor.label]);
  if (label !== undefined) found.push(["resource", shown.resource.label, label]);
  for (const name of ["ip", "user_agent", "request_id"]) if (origin) found.push([name, shown[name] ?? "", origin[name] ?? ""]);
  if (detail && !shown.unreadable) {
    if (typeof detail.context === "object") found.push(["context", shown.context, detail.context]);
    for (const [name, pair] of Object.entries(shown.changes)) {
      if (typeof detail.changes === "object") found.push(["changes", pair, detail.changes[name]]);
    }
  }
  return found;
}

/* The hash of the leaf, after the line was compared with what the page shows. Of an entry that was
   erased as a whole, the line is the hash alone, and its number is all there is to compare. */
async function leafHash(line, index, shown) {
  const withheld = WITHHELD.exec(line);
  if (withheld) {
    require(shown.erased?.includes("leaf"), "The proof does not show what this page shows.");
    require(index === shown.seq - 1, "The proof is of another entry.");
    return fromHex(withheld[1]);
  }
  const { leaf, parts, salt, salts } = split(line);
  const sealed = JSON.parse(leaf);
  for (const [name, here, there] of pairs(shown, sealed, parts)) {
    require(isSame(here, there), `This page shows another ${name} than was sealed.`);
  }
  require(index === sealed.seq - 1, "The proof is of another entry.");
  const commits = await commitment(parts, salt, salts);
  require(hex(commits) === hex(fromBase64(sealed.parts)), "Its values are not those that were sealed.");
  return sha256(Uint8Array.of(0), encode(leaf));
}

/* RFC 9162, 2.1.3.2. */
async function climb(hash, index, size, path) {
  let [place, last] = [index, size - 1];
  require(place <= last, "The entry is not among those of the checkpoint.");
  for (const beside of path) {
    require(last && beside.length === 32, "The path has a hash too many.");
    if (place % 2 || place === last) {
      hash = await node(beside, hash);
      while (place % 2 === 0 && place) [place, last] = [place / 2, Math.floor(last / 2)];
    } else hash = await node(hash, beside);
    [place, last] = [Math.floor(place / 2), Math.floor(last / 2)];
  }
  require(!last, "The path lacks a hash.");
  return hash;
}

/* The id of the key that signed; null if this browser cannot tell. */
async function signer({ text, signatures, origin }, vkeys) {
  for (const vkey of vkeys) {
    const [name, id, encoded] = vkey.split(/\+(.{8})\+/);
    const key = fromBase64(encoded);
    const lines = signatures.split("\n").map((line) => line.split(" "));
    const mine = lines.filter((line) => line[1] === name && hex(fromBase64(line[2]).slice(0, 4)) === id);
    if (!mine.length || name !== origin) continue;
    if (key[0] !== ED25519) return null;
    let known;
    try {
      known = await crypto.subtle.importKey("raw", key.slice(1), "Ed25519", false, ["verify"]);
    } catch {
      return null;
    }
    const signature = fromBase64(mine[0][2]).slice(4);
    const holds = await crypto.subtle.verify("Ed25519", known, signature, encode(text));
    require(holds, `The signature of key ${id} is wrong.`);
    return id;
  }
  throw new Refused("No key of this log signed the checkpoint.");
}

function add(list, template, text, value = "") {
  const item = document.querySelector(template).content.firstElementChild.cloneNode(true);
  const [said, hash] = item.querySelectorAll("span");
  said.textContent = text;
  hash.textContent = value;
  list.append(item);
}

async function check() {
  const [status, list] = [box.querySelector("[role=status]"), box.querySelector("ol")];
  const done = (text, value) => add(list, "#step-holds", text, value);
  box.hidden = false;
  let doing = "fetching the proof";
  try {
    require(globalThis.crypto?.subtle, "The browser offers cryptography to pages over HTTPS only.");
    const answer = await fetch(box.dataset.proof, { credentials: "same-origin" });
    require(answer.ok && !answer.redirected, `The server answered ${answer.status}.`);
    const { line, index, path, checkpoint } = read(await answer.text());

    doing = "comparing the entry with this page";
    const shown = JSON.parse(document.querySelector("#raw").textContent);
    const hash = await leafHash(line, index, shown);
    const isErased = WITHHELD.test(line);
    const which = isErased ? "all that is left of it in the proof" : "computed from what this page shows";
    done(`Hash of this entry, ${which}`, short(hash));

    doing = "following the path";
    const root = await climb(hash, index, checkpoint.size, path);
    require(hex(root) === hex(checkpoint.root), "The path leads to another root than the signed one.");
    const many = path.length === 1 ? "1 hash leads" : `${path.length} hashes lead`;
    done(`${many} from it to the root`, short(root));

    doing = "checking the signature";
    const id = await signer(checkpoint, box.dataset.keys.split("\n").filter(Boolean));
    const of = `checkpoint of ${number.format(checkpoint.size)} entries`;
    if (id === null) {
      add(list, "#step-left-out", `This browser cannot check the signature of the ${of}; dotenv audit verify can`);
      status.textContent = "Your browser has checked this entry up to the root, but not who signed the root.";
      return;
    }
    done(`Root signed, as ${of}`, id);
    status.textContent = isErased
      ? "Your browser has just checked that the entry of this number, which was erased, is in the signed log by its hash."
      : "Your browser has just checked that this entry is in the signed log as this page shows it.";
  } catch (error) {
    const isKnown = error instanceof Refused;
    const message = isKnown ? error.message : "What the server sent could not be read.";
    box.classList.add("failed");
    add(list, "#step-failed", `Failed while ${doing}: ${message}`);
    status.textContent = "Your browser could not confirm this entry. Keep the proof, and tell whoever audits this log.";
  }
}

if (box) check();

// Run by mongosh when the server responds: initiates a replica set of one node, once, and waits until it accepts writes.

const HOST = process.env.MONGO_HOST ?? "mongo:27017";
const PASSWORD_FILE = process.env.MONGO_ROOT_PASSWORD_FILE ?? "/run/secrets/mongo_root_password";
const NOT_YET_INITIALIZED = 94;
const SECONDS = 60;

const password = encodeURIComponent(fs.readFileSync(PASSWORD_FILE, "utf8").trim());
const admin = connect(`mongodb://root:${password}@${HOST}/admin?directConnection=true`);

try {
  admin.adminCommand({ replSetGetStatus: 1 });
} catch (error) {
  if (error.code !== NOT_YET_INITIALIZED) throw error;
  admin.adminCommand({ replSetInitiate: { _id: "rs0", members: [{ _id: 0, host: HOST }] } });
  print("Initiated the replica set rs0.");
}

const deadline = Date.now() + SECONDS * 1000;
while (!admin.adminCommand({ hello: 1 }).isWritablePrimary) {
  if (Date.now() > deadline) {
    print(`The replica set rs0 has no primary after ${SECONDS} seconds; see the server's log.`);
    quit(1);
  }
  sleep(200);
}
print("The replica set rs0 accepts writes.");

/* Many MQTT connections (the npm package mqtt), told what to do by lines of JSON on stdin:
 * {"n": number, "do": "connect|subscribe|publish|drop|leave", "name": connection, ...}; each is answered with
 * {"n": number, "result": ...}, and messages come as {"name": connection, "message": [topic, payload, qos, retain]}. */
'use strict';
const fs = require('fs');
const readline = require('readline');
const mqtt = require('mqtt');

const clients = new Map();

function say(what) {
	process.stdout.write(JSON.stringify(what) + '\n');
}

function connect(c, done) {
	const client = mqtt.connect({
		host: '127.0.0.1', port: c.port, protocol: 'mqtts', protocolVersion: c.version, clientId: c.id, clean: c.clean,
		ca: fs.readFileSync(c.ca), cert: fs.readFileSync(c.cert), key: fs.readFileSync(c.key),
		reconnectPeriod: 0, resubscribe: false, will: c.will,
		properties: c.version === 5 && !c.clean ? {sessionExpiryInterval: 3600} : undefined,
	});
	clients.set(c.name, client);
	client.on('message', (topic, payload, packet) =>
		say({name: c.name, message: [topic, payload.toString(), packet.qos, packet.retain ? 1 : 0]}));
	client.once('connect', (connack) => done([connack.returnCode ?? connack.reasonCode, connack.sessionPresent ? 1 : 0]));
	client.on('error', (error) => done([error.code, 0]));
}

const actions = {
	connect,
	subscribe(c, done) {
		clients.get(c.name).subscribe(c.filter, {qos: c.qos}, (error, granted, packet) =>
			done(packet ? packet.granted[0] : error ? error.code ?? 128 : granted[0].qos));
	},
	publish(c, done) {
		clients.get(c.name).publish(c.topic, c.payload, {qos: c.qos, retain: c.retain}, (error) =>
			done(error ? error.code : 0));
	},
	drop(c, done) {
		clients.get(c.name).stream.destroy();
		done(0);
	},
	leave(c, done) {
		clients.get(c.name).end(false, {}, () => done(0));
	},
};

readline.createInterface({input: process.stdin}).on('line', (line) => {
	const c = JSON.parse(line);
	let answered = false;
	actions[c.do](c, (result) => {
		if (!answered)
			say({n: c.n, result});
		answered = true;
	});
}).on('close', () => process.exit(0));

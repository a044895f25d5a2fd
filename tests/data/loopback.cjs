// Loaded before the server of the HTTP cache test suite, which would listen on every address of the machine.
'use strict'
const { Server } = require('net')
const listen = Server.prototype.listen
Server.prototype.listen = function (port) { return listen.call(this, { port: Number(port), host: '127.0.0.1' }) }
